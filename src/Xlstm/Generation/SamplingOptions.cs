namespace Xlstm;

/// <summary>
/// How the next token is chosen from the logits. The chain's order: penalties, logit bias, top-k, top-p, min-p, temperature,
/// then one draw. Defaults: temperature 0.8, top-k 40, top-p 0.95, min-p 0.05, no penalties.
/// </summary>
public sealed record SamplingOptions
{
    /// <summary>Always take the token with the highest logit after penalties and bias (the lowest id on a tie); the rest of the chain is skipped.</summary>
    public bool Greedy { get; init; }

    /// <summary>Divides the logits of the surviving tokens; 0 means greedy. Finite, at least 0.</summary>
    public float Temperature { get; init; } = 0.8f;

    /// <summary>Keep the k tokens with the highest logits; 0 keeps all.</summary>
    public int TopK { get; init; } = 40;

    /// <summary>Keep the smallest set of most probable tokens whose probabilities reach this sum; 1 keeps all. In (0, 1].</summary>
    public float TopP { get; init; } = 0.95f;

    /// <summary>Keep tokens at least this fraction as probable as the most probable one; 0 keeps all. In [0, 1].</summary>
    public float MinP { get; init; } = 0.05f;

    /// <summary>Logits of tokens seen before are divided (if positive) or multiplied (if negative) by this; 1 is off. Above 0. Source: CTRL, arXiv 1909.05858.</summary>
    public float RepetitionPenalty { get; init; } = 1f;

    /// <summary>Subtracted from the logit of every token generated before; 0 is off.</summary>
    public float PresencePenalty { get; init; }

    /// <summary>Subtracted from the logit of a token once for every time it was generated before; 0 is off.</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>Seed of the draws: the same seed, model and options give the same text; null draws a fresh one.</summary>
    public ulong? Seed { get; init; }

    /// <summary>Added to the logits of these token ids; negative infinity forbids one.</summary>
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }
}
