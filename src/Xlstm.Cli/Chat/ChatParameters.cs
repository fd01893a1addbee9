using System.Globalization;
using Xlstm.Cli.Arguments;

namespace Xlstm.Cli.Chat;

/// <summary>The generation options as <c>/params</c> shows and changes them, under the names of the command line.</summary>
internal static class ChatParameters
{
    private static readonly (string Name, Func<GenerationOptions, string> Show, Func<GenerationOptions, string, GenerationOptions?> Change, string Expected)[] All =
    [
        Of("max_new_tokens", NumberRules.Count, o => o.MaxNewTokens, (o, v) => o with { MaxNewTokens = v }),
        Of("temperature", NumberRules.NotNegative, o => o.Sampling.Temperature, (o, v) => Draw(o, s => s with { Temperature = v })),
        Of("top_k", NumberRules.Count, o => o.Sampling.TopK, (o, v) => Draw(o, s => s with { TopK = v })),
        Of("top_p", NumberRules.PositiveProbability, o => o.Sampling.TopP, (o, v) => Draw(o, s => s with { TopP = v })),
        Of("min_p", NumberRules.Probability, o => o.Sampling.MinP, (o, v) => Draw(o, s => s with { MinP = v })),
        Of("repetition_penalty", NumberRules.AboveZero, o => o.Sampling.RepetitionPenalty, (o, v) => o with { Sampling = o.Sampling with { RepetitionPenalty = v } }),
        Of("presence_penalty", NumberRules.Finite, o => o.Sampling.PresencePenalty, (o, v) => o with { Sampling = o.Sampling with { PresencePenalty = v } }),
        Of("frequency_penalty", NumberRules.Finite, o => o.Sampling.FrequencyPenalty, (o, v) => o with { Sampling = o.Sampling with { FrequencyPenalty = v } }),
        ("seed", o => o.Sampling.Seed?.ToString(CultureInfo.InvariantCulture) ?? "random", ChangeSeed, $"random, or {NumberRules.Seed.Expected}"),
        ("greedy", o => o.Sampling.Greedy ? "true" : "false", (o, text) => bool.TryParse(text, out bool v) ? o with { Sampling = o.Sampling with { Greedy = v } } : null, "true or false"),
    ];

    /// <summary>Every option and its value.</summary>
    public static IEnumerable<string> Show(GenerationOptions options) => All.Select(parameter => $"{parameter.Name}={parameter.Show(options)}");

    /// <summary>Changes options.</summary>
    /// <param name="options">The present ones.</param>
    /// <param name="assignments">As <c>temperature=0.7 top_k=20</c>.</param>
    /// <exception cref="XlstmException">A name or value is wrong; nothing changes.</exception>
    public static GenerationOptions Change(GenerationOptions options, string assignments)
    {
        foreach (string assignment in assignments.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] parts = assignment.Split('=', 2);
            var parameter = Array.Find(All, p => p.Name == parts[0].Replace('-', '_'));
            if (parameter.Name is null || parts.Length != 2)
            {
                throw new XlstmException($"{assignment}: expected NAME=VALUE with one of {string.Join(", ", All.Select(p => p.Name))}");
            }

            options = parameter.Change(options, parts[1]) ?? throw new XlstmException($"{assignment}: expected {parameter.Expected}");
        }

        return options;
    }

    private static (string, Func<GenerationOptions, string>, Func<GenerationOptions, string, GenerationOptions?>, string) Of<T>(
        string name, NumberRule<T> rule, Func<GenerationOptions, T> get, Func<GenerationOptions, T, GenerationOptions> set)
        where T : struct, System.Numerics.INumber<T> =>
        (name, options => get(options).ToString(null, CultureInfo.InvariantCulture), (options, text) => rule.TryParse(text, out T value) ? set(options, value) : null, rule.Expected);

    private static GenerationOptions? ChangeSeed(GenerationOptions options, string text) =>
        text == "random" ? options with { Sampling = options.Sampling with { Seed = null } }
        : NumberRules.Seed.TryParse(text, out ulong seed) ? options with { Sampling = options.Sampling with { Seed = seed } }
        : null;

    // Who sets what a draw depends on wants draws.
    private static GenerationOptions Draw(GenerationOptions options, Func<SamplingOptions, SamplingOptions> change) => options with { Sampling = change(options.Sampling) with { Greedy = false } };
}
