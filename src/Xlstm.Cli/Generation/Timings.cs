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

    public required double TotalSeconds { get; init; }

    /// <summary>Jobs that ran together: their tokens over the time of them all.</summary>
    public static Timings Together(IEnumerable<Timings> jobs, double seconds)
    {
        var (prompt, generated) = jobs.Aggregate((Prompt: 0, Generated: 0), (sum, t) => (sum.Prompt + t.PromptTokens, sum.Generated + t.GeneratedTokens));
        return new Timings { PromptTokens = prompt, PromptSeconds = seconds, GeneratedTokens = generated, GenerationSeconds = seconds, TotalSeconds = seconds };
    }

    /// <summary>The line a run ends with.</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"Generation time: {TotalSeconds:F2} seconds ({PromptTokens} prompt tokens at {Show(PromptTokensPerSecond)} tok/s, {GeneratedTokens} generated at {Show(GeneratedTokensPerSecond)} tok/s)");

    private static double Rate(int tokens, double seconds) => seconds > 0 ? Math.Round(tokens / seconds, 3) : 0;

    /// <summary>Three digits or more: 1.07, 10.7, 412.</summary>
    private static string Show(double rate) => rate.ToString(rate < 10 ? "F2" : rate < 100 ? "F1" : "F0", CultureInfo.InvariantCulture);
}
