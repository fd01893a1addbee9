namespace Xlstm.Generation;

/// <summary>
/// What a sequence has held so far, and the penalties for it. The repetition penalty (CTRL, arXiv 1909.05858) counts prompt and
/// generated tokens, as Hugging Face transformers does; presence and frequency penalties count generated tokens only, as OpenAI's API does.
/// </summary>
internal sealed class TokenPenalties(SamplingOptions options, int vocabSize)
{
    private readonly float _repetition = options.RepetitionPenalty;
    private readonly float _presence = options.PresencePenalty;
    private readonly float _frequency = options.FrequencyPenalty;
    private readonly int[] _timesGenerated = new int[vocabSize];
    private readonly bool[] _seen = new bool[vocabSize];
    private readonly int[] _distinct = new int[vocabSize];
    private int _distinctCount;

    /// <summary>Whether any penalty is on; without one there is no history to keep.</summary>
    public static bool AreSet(SamplingOptions options) =>
        options.RepetitionPenalty != 1 || options.PresencePenalty != 0 || options.FrequencyPenalty != 0;

    /// <summary>Counts a token.</summary>
    public void Accept(int id, bool generated)
    {
        if (!_seen[id])
        {
            _seen[id] = true;
            _distinct[_distinctCount++] = id;
        }

        if (generated)
        {
            _timesGenerated[id]++;
        }
    }

    /// <summary>Penalizes the scores [V] of all tokens counted so far.</summary>
    public void Apply(Span<float> scores)
    {
        foreach (int id in _distinct.AsSpan(0, _distinctCount))
        {
            float score = scores[id];
            score = score > 0 ? score / _repetition : score * _repetition;
            int times = _timesGenerated[id];
            scores[id] = times > 0 ? score - _presence - (_frequency * times) : score;
        }
    }
}
