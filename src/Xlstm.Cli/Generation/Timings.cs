using System.Globalization;

namespace Xlstm.Cli.Generation;

/// <summary>Tokens and the time they took; rates are tokens a second.</summary>
internal sealed record Timings
{
    /// <summary>The model's load, which a run of many prompts pays once.</summary>
    public double? LoadSeconds { get; init; }

    public required int PromptTokens { get; init; }

    public required double PromptSeconds { get; init; }

    public double PromptTokensPerSecond => Rate(PromptTokens, PromptSeconds);

    public required int GeneratedTokens { get; init; }

    public required double GenerationSeconds { get; init; }

    public double GeneratedTokensPerSecond => Rate(GeneratedTokens, GenerationSeconds);

    /// <summary>Prompt and generation.</summary>
    public double TotalSeconds => Math.Round(PromptSeconds + GenerationSeconds, 6);

    public static Timings operator +(Timings a, Timings b) => new()
    {
        PromptTokens = a.PromptTokens + b.PromptTokens,
        PromptSeconds = a.PromptSeconds + b.PromptSeconds,
        GeneratedTokens = a.GeneratedTokens + b.GeneratedTokens,
        GenerationSeconds = a.GenerationSeconds + b.GenerationSeconds,
    };

    /// <summary>The line a run ends with.</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"Generation time: {TotalSeconds:F2} seconds ({PromptTokens} prompt tokens at {Show(PromptTokensPerSecond)} tok/s, {GeneratedTokens} generated at {Show(GeneratedTokensPerSecond)} tok/s)");

    private static double Rate(int tokens, double seconds) => seconds > 0 ? Math.Round(tokens / seconds, 3) : 0;

    /// <summary>Three digits or more: 1.07, 10.7, 412.</summary>
    private static string Show(double rate) => rate.ToString(rate < 10 ? "F2" : rate < 100 ? "F1" : "F0", CultureInfo.InvariantCulture);
}
