namespace Xlstm;

/// <summary>Why a generation ended.</summary>
public enum FinishReason
{
    /// <summary>It has not ended.</summary>
    None,

    /// <summary>The model chose the end-of-text token.</summary>
    EndOfText,

    /// <summary>A stop string was made.</summary>
    StopString,

    /// <summary>The wanted number of tokens was made.</summary>
    Length,
}

/// <summary>A token and its natural-log probability.</summary>
/// <param name="Id">Token id.</param>
/// <param name="LogProbability">Natural logarithm of its probability under the model's own distribution (softmax of the logits).</param>
public readonly record struct TokenLogProbability(int Id, float LogProbability);

/// <summary>One step of a generation.</summary>
public readonly record struct GeneratedToken
{
    /// <summary>The token chosen.</summary>
    public required int Id { get; init; }

    /// <summary>
    /// Text that became certain with this token: whole characters only, and nothing that could still be the start of a stop
    /// string. May be empty; the last token of a generation carries all that was held back.
    /// </summary>
    public required string Text { get; init; }

    /// <summary>Set on the last token of a generation.</summary>
    public FinishReason FinishReason { get; init; }

    /// <summary>The token's natural-log probability when <see cref="GenerationOptions.TopLogProbabilities"/> asks for it, else NaN.</summary>
    public float LogProbability { get; init; }

    /// <summary>The most probable tokens, best first, when <see cref="GenerationOptions.TopLogProbabilities"/> asks for them, else null.</summary>
    public IReadOnlyList<TokenLogProbability>? TopLogProbabilities { get; init; }
}
