namespace Xlstm;

/// <summary>
/// How <see cref="TextEvaluator"/> cuts a text into streams. By default it does not: a recurrent model needs no window, so a text
/// is one stream from begin-of-text to its end.
/// </summary>
public sealed record EvaluationOptions
{
    /// <summary>Tokens of a window, each window fed from begin-of-text on a fresh state: for numbers comparable with those of models that have a context limit. Null: no windows.</summary>
    public int? Context { get; init; }

    /// <summary>Tokens from one window's start to the next; null: <see cref="Context"/>. A window after the first scores its last <c>Stride</c> tokens and reads the others as context.</summary>
    public int? Stride { get; init; }

    /// <summary>Most tokens of a forward pass; null: as many as fit. What rounds between passes shows with fewer: 1 scores the arithmetic of generation.</summary>
    public int? PassTokens { get; init; }

    /// <exception cref="XlstmException">An option is out of its range.</exception>
    internal void Validate()
    {
        if (Context is < 1)
        {
            throw new XlstmException($"context is {Context}, expected at least 1");
        }

        if (PassTokens is < 1)
        {
            throw new XlstmException($"tokens of a pass are {PassTokens}, expected at least 1");
        }

        if (Stride is { } stride && (Context is not { } context || stride < 1 || stride > context))
        {
            throw new XlstmException($"stride is {stride}, expected 1 to the context's {Context?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "tokens (there is no context)"}");
        }
    }
}
