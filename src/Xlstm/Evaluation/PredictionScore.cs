namespace Xlstm;

/// <summary>How well a model predicted some tokens.</summary>
public sealed record PredictionScore
{
    /// <summary>Tokens scored.</summary>
    public required long Tokens { get; init; }

    /// <summary>UTF-8 bytes of those tokens' text; 0 for a model without a tokenizer.</summary>
    public required long Bytes { get; init; }

    /// <summary>Mean of -ln p(token).</summary>
    public required double NatsPerToken { get; init; }

    /// <summary>Standard error of <see cref="NatsPerToken"/>, tokens taken as independent.</summary>
    public required double NatsStandardError { get; init; }

    /// <summary>exp(<see cref="NatsPerToken"/>).</summary>
    public double Perplexity => Math.Exp(NatsPerToken);

    /// <summary>Standard error of <see cref="Perplexity"/>.</summary>
    public double PerplexityStandardError => Perplexity * NatsStandardError;

    /// <summary>Nats over bytes, in bits: comparable between tokenizers. NaN without a tokenizer.</summary>
    public double BitsPerByte => Bytes > 0 ? NatsPerToken * Tokens / Bytes / Math.Log(2) : double.NaN;

    /// <summary>How far the predictions are from the reference model's; null without one.</summary>
    public DivergenceScore? Divergence { get; init; }
}

/// <summary>How far a model's distributions are from those of a reference model on the same text.</summary>
public sealed record DivergenceScore
{
    /// <summary>Mean of the reference's -ln p(token).</summary>
    public required double ReferenceNatsPerToken { get; init; }

    /// <summary>The reference's perplexity.</summary>
    public double ReferencePerplexity => Math.Exp(ReferenceNatsPerToken);

    /// <summary>Mean over tokens of ln p_reference(token) - ln p(token): the logarithm of the ratio of the perplexities.</summary>
    public required double LogRatio { get; init; }

    /// <summary>Standard error of <see cref="LogRatio"/>. Both models read the same text, so it is far smaller than that of either perplexity.</summary>
    public required double LogRatioStandardError { get; init; }

    /// <summary>The model's perplexity over the reference's.</summary>
    public double PerplexityRatio => Math.Exp(LogRatio);

    /// <summary>Mean of the Kullback-Leibler divergence KL(reference || model) over the whole vocabulary, in nats.</summary>
    public required double MeanDivergence { get; init; }

    /// <summary>The divergence that 99 % of the tokens do not exceed.</summary>
    public required double Divergence99 { get; init; }

    /// <summary>The largest divergence.</summary>
    public required double MaxDivergence { get; init; }

    /// <summary>Share of tokens for which both models find the same token most probable, 0 to 1.</summary>
    public required double TopAgreement { get; init; }
}

/// <summary>The score of a range of positions: errors of a recurrent model may add up in its state.</summary>
/// <param name="First">First position; position 0 is the first token after begin-of-text.</param>
/// <param name="Last">Last position of the range.</param>
/// <param name="Score">The score of the tokens there.</param>
public sealed record PositionScore(long First, long Last, PredictionScore Score);
