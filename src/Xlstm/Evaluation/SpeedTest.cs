namespace Xlstm;

/// <summary>What a <see cref="SpeedTest"/> times.</summary>
public enum SpeedTestKind
{
    /// <summary>Reading a prompt (prefill), up to the logits after its last token.</summary>
    Prompt,

    /// <summary>Generating (decode): one token after the other, each with its logits, without sampling.</summary>
    Generation,
}

/// <summary>One thing to time on a model.</summary>
/// <param name="Kind">Prompt or generation.</param>
/// <param name="Tokens">Tokens of each sequence.</param>
/// <param name="Depth">Tokens that each sequence has read before.</param>
/// <param name="Batch">Sequences that run together.</param>
public sealed record SpeedTest(SpeedTestKind Kind, int Tokens, int Depth = 0, int Batch = 1)
{
    /// <summary>As "pp512" or "tg128".</summary>
    public string Name => (Kind == SpeedTestKind.Prompt ? "pp" : "tg") + Tokens.ToString(System.Globalization.CultureInfo.InvariantCulture);

    /// <exception cref="XlstmException">A size is out of its range.</exception>
    internal void Validate(int maxBatch)
    {
        if (Tokens < 1 || Depth < 0 || Batch < 1 || Batch > maxBatch)
        {
            throw new XlstmException($"{Name} at depth {Depth}, batch {Batch}: expected at least 1 token, depth 0 and a batch of 1 to {maxBatch}");
        }
    }
}

/// <summary>What a <see cref="SpeedTest"/> took.</summary>
public sealed record SpeedResult
{
    /// <summary>What was timed.</summary>
    public required SpeedTest Test { get; init; }

    /// <summary>Seconds of each repetition.</summary>
    public required IReadOnlyList<double> Seconds { get; init; }

    /// <summary>Bytes of weights that a repetition reads; for prompts null, since how often a product of matrices reads them is the caches' affair.</summary>
    public required double? WeightBytes { get; init; }

    /// <summary>Bytes of state that a repetition reads and writes, both counted; null for prompts.</summary>
    public required double? StateBytes { get; init; }

    /// <summary>Multiplications with weights that a repetition makes.</summary>
    public required double Products { get; init; }

    /// <summary>Tokens of all sequences together that a repetition reads or makes.</summary>
    public long Tokens => (long)Test.Tokens * Test.Batch;

    /// <summary>Mean over the repetitions of tokens a second.</summary>
    public double TokensPerSecond => Rates.Average();

    /// <summary>Standard deviation of tokens a second; 0 for one repetition.</summary>
    public double Deviation => Seconds.Count > 1 ? Math.Sqrt(Rates.Sum(rate => Math.Pow(rate - TokensPerSecond, 2)) / (Seconds.Count - 1)) : 0;

    /// <summary>Median of tokens a second.</summary>
    public double MedianTokensPerSecond
    {
        get
        {
            double[] sorted = [.. Rates.Order()];
            return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
        }
    }

    /// <summary>Bytes of weights a second at the median speed.</summary>
    public double? WeightBytesPerSecond => WeightBytes * MedianTokensPerSecond / Tokens;

    /// <summary>Bytes of state a second, reads and writes, at the median speed.</summary>
    public double? StateBytesPerSecond => StateBytes * MedianTokensPerSecond / Tokens;

    /// <summary>Multiplications with weights a second at the median speed.</summary>
    public double ProductsPerSecond => Products * MedianTokensPerSecond / Tokens;

    private IEnumerable<double> Rates => Seconds.Select(seconds => Tokens / seconds);
}
