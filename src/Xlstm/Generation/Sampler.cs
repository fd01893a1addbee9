using System.Numerics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Xlstm.Backends;

namespace Xlstm.Generation;

/// <summary>
/// Chooses the next token of one sequence from its logits, as <see cref="SamplingOptions"/> says. It keeps the sequence's history
/// for the penalties and its random numbers; every buffer is made once, so choosing allocates nothing. Not thread-safe.
/// </summary>
/// <remarks>
/// Top-k, top-p and min-p each keep a prefix of one ranking (<see cref="RankCut"/>), so nothing is ever sorted: candidates stay
/// in the order of their ids and are cut down in place. That order is also the order of the draw.
/// </remarks>
internal sealed class Sampler
{
    /// <summary>Vectors of scores that share one vector of maxima. Fewer would bound top-k tighter and cost more to search.</summary>
    private const int VectorsPerGroup = 32;

    /// <summary>A sum of float32 probabilities this close to top-p has reached it: rounding must not add a token.</summary>
    private const double TopPRounding = 1e-6;

    private readonly int _vocabSize;
    private readonly int _topK;
    private readonly double _topP;
    private readonly float _logMinP;
    private readonly float _temperature;
    private readonly TokenPenalties? _penalties;
    private readonly (int Id, float Bias)[] _biases;
    private readonly int[] _forbidden;
    private readonly float[] _scores;          // [V], then the candidates' [count]; padded with -inf to whole vectors
    private readonly Vector<float>[] _maxima;  // lane l of entry g: the highest score in lane l of the g-th group of vectors
    private readonly int[] _ids;               // [count]: ids of the candidates, ascending
    private readonly float[] _weights;         // [count]: exp((score - highest) / temperature)
    private Xoshiro256 _random;
    private int _count;

    /// <param name="options">How to choose.</param>
    /// <param name="vocabSize">V.</param>
    /// <param name="isForbidden">Ids that must never be chosen, whatever their bias (padding rows, an ignored end of text); asked once for each id.</param>
    /// <exception cref="XlstmException">An option is out of its range, or no token is left to choose.</exception>
    public Sampler(SamplingOptions options, int vocabSize, Func<int, bool>? isForbidden)
    {
        options.Validate();
        _vocabSize = vocabSize;
        _topK = options.TopK;
        _topP = options.TopP;
        _logMinP = MathF.Log(options.MinP);
        _temperature = options.Greedy ? 0 : options.Temperature;
        _penalties = TokenPenalties.AreSet(options) ? new TokenPenalties(options, vocabSize) : null;
        _biases = [.. (options.LogitBias ?? new Dictionary<int, float>()).Select(pair => (pair.Key, pair.Value))];
        foreach ((int id, _) in _biases)
        {
            if (id >= vocabSize)
            {
                throw new XlstmException($"logit bias must be for a token id below {vocabSize}, the size of the model's vocabulary, found {id}");
            }
        }

        _forbidden = isForbidden is null ? [] : [.. Enumerable.Range(0, vocabSize).Where(isForbidden)];
        if (_forbidden.Union(_biases.Where(pair => float.IsNegativeInfinity(pair.Bias)).Select(pair => pair.Id)).Count() == vocabSize)
        {
            throw NothingToChoose();
        }

        int vectors = (vocabSize + Vector<float>.Count - 1) / Vector<float>.Count;
        _scores = new float[vectors * Vector<float>.Count];
        Array.Fill(_scores, float.NegativeInfinity);
        _maxima = new Vector<float>[(vectors + VectorsPerGroup - 1) / VectorsPerGroup];
        _ids = _temperature == 0 ? [] : new int[_scores.Length];
        _weights = _temperature == 0 ? [] : new float[_scores.Length];
        _random = new Xoshiro256(options.Seed ?? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong))));
    }

    /// <summary>How many of the highest logits decide the choice; 0 if all of them do, or the history.</summary>
    public int Decisive => _penalties is not null || _biases.Length > 0 ? 0 : _temperature == 0 ? 1 : _topK;

    /// <summary>Tells the history of a token: those of the prompt count for the repetition penalty, generated ones for all penalties.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The id is not in [0, V).</exception>
    public void Accept(int id, bool generated)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(id, _vocabSize);
        _penalties?.Accept(id, generated);
    }

    /// <summary>Chooses a token; the caller tells it to <see cref="Accept"/>. One random number is drawn for each call, none when greedy.</summary>
    /// <param name="logits">The model's logits, [V]; not modified.</param>
    /// <exception cref="XlstmException">The model produced NaN or an infinite logit, or every token it allows is forbidden.</exception>
    public int Sample(ReadOnlySpan<float> logits)
    {
        if (logits.Length != _vocabSize)
        {
            throw new ArgumentException($"expected {_vocabSize} logits, found {logits.Length}", nameof(logits));
        }

        Span<float> scores = _scores.AsSpan(0, _vocabSize);
        logits.CopyTo(scores);
        _penalties?.Apply(scores);
        foreach ((int id, float bias) in _biases)
        {
            scores[id] += bias;
        }

        foreach (int id in _forbidden)
        {
            scores[id] += float.NegativeInfinity; // added: a NaN must not be covered up
        }

        float highest = FindMaxima();
        if (!float.IsFinite(highest))
        {
            throw NoDistribution(logits, highest);
        }

        if (_temperature == 0)
        {
            return scores.IndexOf(highest);
        }

        Gather(LowerBoundOfTopK());
        return Choose(highest);
    }

    /// <summary>Chooses the token that <see cref="Sample(ReadOnlySpan{float})"/> would choose from all logits, bit for bit the same draw.</summary>
    /// <param name="best">The highest logits of the tokens that are not forbidden, at least <see cref="Decisive"/> of them or all, and all that tie with them.</param>
    public int Sample(Shortlist best)
    {
        float highest = float.NegativeInfinity;
        foreach (float logit in best.Logits)
        {
            highest = MathF.Max(highest, logit);
        }

        if (_temperature == 0)
        {
            return best.Ids[best.Logits.IndexOf(highest)];
        }

        best.Ids.CopyTo(_ids);
        best.Logits.CopyTo(_scores);
        _count = best.Count;
        return Choose(highest);
    }

    /// <summary>Chooses among the candidates, which are in the order of their ids and hold all that top-k keeps.</summary>
    private int Choose(float highest)
    {
        if (_topK > 0 && _topK < _count)
        {
            Keep(RankCut.Find(_scores.AsSpan(0, _count), [], _topK), weighted: false);
        }

        if (_topP < 1)
        {
            double target = _topP * (1 - TopPRounding) * Weigh(highest, temperature: 1);
            Keep(RankCut.Find(_scores.AsSpan(0, _count), _weights.AsSpan(0, _count), target), weighted: true);
        }

        if (!float.IsNegativeInfinity(_logMinP))
        {
            Keep(new RankCut(highest + _logMinP, double.PositiveInfinity), weighted: false);
        }

        return Draw(Weigh(highest, _temperature));
    }

    /// <summary>Fills <see cref="_maxima"/>; the highest score of all, or NaN if there is one.</summary>
    private float FindMaxima()
    {
        ReadOnlySpan<Vector<float>> scores = MemoryMarshal.Cast<float, Vector<float>>(_scores);
        var highest = new Vector<float>(float.NegativeInfinity);
        for (int group = 0; group < _maxima.Length; group++)
        {
            int first = group * VectorsPerGroup;
            Vector<float> maximum = scores[first];
            foreach (Vector<float> vector in scores[first..Math.Min(first + VectorsPerGroup, scores.Length)])
            {
                maximum = Vector.Max(maximum, vector); // NaN wins
            }

            _maxima[group] = maximum;
            highest = Vector.Max(highest, maximum);
        }

        float result = highest[0];
        for (int lane = 1; lane < Vector<float>.Count; lane++)
        {
            result = MathF.Max(result, highest[lane]);
        }

        return result;
    }

    /// <summary>
    /// A score that at least k tokens reach: the k-th highest of the maxima of disjoint groups. With a k of some dozens
    /// few other tokens reach it, so that the exact cut is looked for among few candidates instead of the whole vocabulary.
    /// </summary>
    private float LowerBoundOfTopK()
    {
        ReadOnlySpan<float> maxima = MemoryMarshal.Cast<Vector<float>, float>(_maxima);
        return _topK > 0 && _topK <= maxima.Length
            ? MathF.Max(RankCut.Find(maxima, [], _topK).Value, float.MinValue)
            : float.MinValue;
    }

    /// <summary>Makes candidates of the tokens whose scores reach a bound. Negative infinity never does.</summary>
    private void Gather(float bound)
    {
        var bounds = new Vector<float>(bound);
        _count = 0;
        for (int first = 0; first < _scores.Length; first += Vector<float>.Count)
        {
            if (!Vector.GreaterThanOrEqualAny(new Vector<float>(_scores, first), bounds))
            {
                continue;
            }

            for (int id = first; id < first + Vector<float>.Count; id++)
            {
                // Written first and counted afterwards, so that the processor has no branch to guess; a place at or below id has been read.
                float score = _scores[id];
                _scores[_count] = score;
                _ids[_count] = id;
                _count += score >= bound ? 1 : 0;
            }
        }
    }

    /// <summary>Drops the candidates beyond a cut.</summary>
    /// <param name="cut">The cut.</param>
    /// <param name="weighted">Candidates at the cut's value weigh what <see cref="_weights"/> says, else 1 each.</param>
    private void Keep(RankCut cut, bool weighted)
    {
        double left = cut.WeightAtValue;
        int kept = 0;
        for (int i = 0; i < _count; i++)
        {
            float score = _scores[i];
            bool keep = score > cut.Value;
            if (score == cut.Value && left > 0)
            {
                left -= weighted ? _weights[i] : 1;
                keep = true;
            }

            _scores[kept] = score;
            _ids[kept] = _ids[i];
            kept += keep ? 1 : 0;
        }

        _count = kept;
    }

    /// <summary>Fills <see cref="_weights"/> with the candidates' unnormalized probabilities; their sum.</summary>
    private double Weigh(float highest, float temperature)
    {
        int padded = (_count + Vector<float>.Count - 1) / Vector<float>.Count * Vector<float>.Count;
        _scores.AsSpan(_count, padded - _count).Fill(float.NegativeInfinity);
        var shift = new Vector<float>(highest);
        var divisor = new Vector<float>(temperature); // divided, not multiplied: the reciprocal of a tiny temperature is infinite
        Vector<double> sum = Vector<double>.Zero;
        for (int i = 0; i < padded; i += Vector<float>.Count)
        {
            Vector<float> weights = Vector.Exp((new Vector<float>(_scores, i) - shift) / divisor);
            weights.CopyTo(_weights, i);
            Vector.Widen(weights, out Vector<double> low, out Vector<double> high);
            sum += low + high;
        }

        return Vector.Sum(sum);
    }

    /// <summary>Draws one of the candidates, each with the probability of its weight in the sum.</summary>
    private int Draw(double sum)
    {
        double left = _random.NextDouble() * sum;
        int last = 0;
        for (int i = 0; i < _count; i++)
        {
            if (_weights[i] > 0)
            {
                last = i; // a sum rounded up may leave the draw beyond the end
                left -= _weights[i];
                if (left < 0)
                {
                    break;
                }
            }
        }

        return _ids[last];
    }

    private XlstmException NoDistribution(ReadOnlySpan<float> logits, float highest)
    {
        if (float.IsNegativeInfinity(highest))
        {
            return NothingToChoose();
        }

        for (int id = 0; id < logits.Length; id++)
        {
            if (float.IsNaN(logits[id]) || float.IsPositiveInfinity(logits[id]))
            {
                return new XlstmException($"the model produced {(float.IsNaN(logits[id]) ? "NaN" : "infinity")}: the logit of token {id} is not a finite number");
            }
        }

        return new XlstmException($"penalties and logit bias are too large: they make the logit of token {_scores.AsSpan().IndexOf(highest)} infinite");
    }

    private static XlstmException NothingToChoose() =>
        new("no token can be chosen: each is forbidden (padding, ignored end of text, logit bias) or has a logit of negative infinity");
}
