using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;

namespace Xlstm.Cli.Arguments;

/// <summary>What a numeric option (or its twin in a line of <c>--prompts</c>) may be.</summary>
/// <param name="IsValid">The test.</param>
/// <param name="Expected">The test in words, for help and errors.</param>
internal sealed record NumberRule<T>(Func<T, bool> IsValid, string Expected)
    where T : struct, INumber<T>
{
    public bool TryParse(string text, out T value) =>
        T.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value) && IsValid(value);

    /// <summary>An option with a value under this rule; null when it is not given.</summary>
    public Option<T?> Option(string name, string valueName, string description, params string[] aliases)
    {
        var option = new Option<T?>(name, aliases) { HelpName = valueName, Description = description };
        option.CustomParser = result =>
        {
            string text = result.Tokens[^1].Value;
            if (TryParse(text, out var value))
            {
                return value;
            }

            string typed = (result.Parent as OptionResult)?.IdentifierToken?.Value ?? name;
            result.AddError($"{typed} {text}: expected {Expected}");
            return null;
        };
        return option;
    }
}

/// <summary>The rules.</summary>
internal static class NumberRules
{
    public static NumberRule<int> Count { get; } = new(v => v >= 0, "a whole number of at least 0");

    public static NumberRule<int> Positive { get; } = new(v => v >= 1, "a whole number of at least 1");

    public static NumberRule<ulong> Seed { get; } = new(_ => true, "a whole number from 0 to 18446744073709551615");

    public static NumberRule<float> NotNegative { get; } = new(v => float.IsFinite(v) && v >= 0, "a number of at least 0");

    public static NumberRule<float> AboveZero { get; } = new(v => float.IsFinite(v) && v > 0, "a number above 0");

    public static NumberRule<float> Finite { get; } = new(float.IsFinite, "a number");

    public static NumberRule<float> Probability { get; } = new(v => v is >= 0 and <= 1, "a number from 0 to 1");

    public static NumberRule<float> PositiveProbability { get; } = new(v => v is > 0 and <= 1, "a number above 0 and at most 1");

    /// <summary>Negative infinity forbids a token.</summary>
    public static NumberRule<float> Bias { get; } = new(v => float.IsFinite(v) || float.IsNegativeInfinity(v), "a number or -inf");
}
