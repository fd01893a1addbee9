using System.Runtime.InteropServices;

namespace Xlstm.Evaluation;

/// <summary>One token's prediction.</summary>
/// <param name="Nats">-ln p(token).</param>
/// <param name="Bytes">Bytes of the token's text.</param>
/// <param name="ReferenceNats">The reference's -ln p(token).</param>
/// <param name="Divergence">KL(reference || model) in nats.</param>
/// <param name="SameTop">Both find the same token most probable.</param>
internal readonly record struct Prediction(double Nats, int Bytes, double ReferenceNats, double Divergence, bool SameTop);

/// <summary>Sums predictions up. It keeps four bytes a token for the quantile of the divergence, nothing else that grows.</summary>
/// <param name="hasReference">Whether there is a reference model.</param>
internal sealed class ScoreAccumulator(bool hasReference)
{
    private readonly List<float> _divergences = [];
    private Moments _nats;
    private Moments _logRatio;
    private double _referenceNats;
    private double _divergence;
    private long _sameTop;
    private long _bytes;

    /// <summary>Tokens so far.</summary>
    public long Tokens => _nats.Count;

    public void Add(in Prediction prediction)
    {
        _nats.Add(prediction.Nats);
        _bytes += prediction.Bytes;
        if (hasReference)
        {
            _logRatio.Add(prediction.Nats - prediction.ReferenceNats);
            _referenceNats += prediction.ReferenceNats;
            _divergence += prediction.Divergence;
            _divergences.Add((float)prediction.Divergence);
            _sameTop += prediction.SameTop ? 1 : 0;
        }
    }

    /// <summary>The score of what was added: at least one token.</summary>
    public PredictionScore ToScore() => new()
    {
        Tokens = Tokens,
        Bytes = _bytes,
        NatsPerToken = _nats.Mean,
        NatsStandardError = _nats.StandardError,
        Divergence = hasReference ? ToDivergence() : null,
    };

    private DivergenceScore ToDivergence()
    {
        float[] sorted = [.. _divergences];
        Array.Sort(sorted);
        return new DivergenceScore
        {
            ReferenceNatsPerToken = _referenceNats / Tokens,
            LogRatio = _logRatio.Mean,
            LogRatioStandardError = _logRatio.StandardError,
            MeanDivergence = _divergence / Tokens,
            Divergence99 = sorted[(int)Math.Ceiling(0.99 * sorted.Length) - 1],
            MaxDivergence = sorted[^1],
            TopAgreement = (double)_sameTop / Tokens,
        };
    }

    /// <summary>Mean and variance in one pass (Welford), which a sum of squares would lose for small differences of large numbers.</summary>
    [StructLayout(LayoutKind.Auto)]
    private struct Moments
    {
        private double _squares;

        public long Count { get; private set; }

        public double Mean { get; private set; }

        public readonly double StandardError => Count > 1 ? Math.Sqrt(_squares / (Count - 1) / Count) : 0;

        public void Add(double value)
        {
            Count++;
            double difference = value - Mean;
            Mean += difference / Count;
            _squares += difference * (value - Mean);
        }
    }
}
