using System.Globalization;

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

    /// <summary>
    /// Checks every value against the range its property documents. Ids of <see cref="LogitBias"/> are checked against a model's
    /// vocabulary when a generation starts.
    /// </summary>
    /// <exception cref="XlstmException">A value is out of its range; the message names the option.</exception>
    public void Validate()
    {
        Require(float.IsFinite(Temperature) && Temperature >= 0, "temperature must be finite and at least 0", Temperature);
        Require(TopK >= 0, "top-k must be at least 0", TopK);
        Require(TopP is > 0 and <= 1, "top-p must be above 0 and at most 1", TopP);
        Require(MinP is >= 0 and <= 1, "min-p must be at least 0 and at most 1", MinP);
        Require(float.IsFinite(RepetitionPenalty) && RepetitionPenalty > 0, "repetition penalty must be finite and above 0", RepetitionPenalty);
        Require(float.IsFinite(PresencePenalty), "presence penalty must be finite", PresencePenalty);
        Require(float.IsFinite(FrequencyPenalty), "frequency penalty must be finite", FrequencyPenalty);
        foreach ((int id, float bias) in LogitBias ?? new Dictionary<int, float>())
        {
            Require(id >= 0, "logit bias must be for a token id of at least 0", id);
            Require(float.IsFinite(bias) || float.IsNegativeInfinity(bias), $"logit bias of token {id} must be finite or negative infinity", bias);
        }
    }

    private static void Require<T>(bool holds, string requirement, T found)
        where T : IFormattable
    {
        if (!holds)
        {
            throw new XlstmException($"{requirement}, found {found.ToString(null, CultureInfo.InvariantCulture)}");
        }
    }
}
