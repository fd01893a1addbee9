using System.CommandLine;
using System.Globalization;

namespace Xlstm.Cli.Arguments;

/// <summary>The options that say what is generated and when it stops: each one that is given replaces the model's own default.</summary>
internal sealed class SamplingArguments
{
    private readonly Option<int?> _maxNewTokens = NumberRules.Count.Option("--max-new-tokens", "N", "Stop after N tokens (default 2000)", "-n");
    private readonly Option<string[]> _stop = new("--stop") { HelpName = "TEXT", Description = @"Stop before TEXT; \n, \t and \\ are understood; may be repeated" };
    private readonly Option<bool> _ignoreEos = Flag.Create("--ignore-eos", "Never choose the end-of-text token; go on to the number of tokens wanted");
    private readonly Option<bool> _greedy = Flag.Create("--greedy", "Always take the most probable token");
    private readonly Option<float?> _temperature = NumberRules.NotNegative.Option("--temperature", "T", "Below 1 safer, above 1 wilder; 0 is greedy (default 0.8)");
    private readonly Option<int?> _topK = NumberRules.Count.Option("--top-k", "K", "Keep the K best tokens; 0 keeps all (default 40)");
    private readonly Option<float?> _topP = NumberRules.PositiveProbability.Option("--top-p", "P", "Keep the best tokens that reach probability P together; 1 keeps all (default 0.95)");
    private readonly Option<float?> _minP = NumberRules.Probability.Option("--min-p", "P", "Keep tokens at least P times as probable as the best; 0 keeps all (default 0.05)");
    private readonly Option<float?> _repetitionPenalty = NumberRules.AboveZero.Option("--repetition-penalty", "R", "Make tokens of the prompt and the text less likely by a factor; 1 is off (default 1)");
    private readonly Option<float?> _presencePenalty = NumberRules.Finite.Option("--presence-penalty", "X", "Lower the logit of every token generated before (default 0)");
    private readonly Option<float?> _frequencyPenalty = NumberRules.Finite.Option("--frequency-penalty", "X", "Lower a token's logit for each time it was generated (default 0)");
    private readonly Option<string[]> _logitBias = new("--logit-bias") { HelpName = "ID=X", Description = "Add X to the logit of a token id; -inf forbids it; may be repeated" };
    private readonly Option<ulong?> _seed = NumberRules.Seed.Option("--seed", "S", "The same seed gives the same text (default: a fresh one)");
    private readonly Option<int?> _logProbs = NumberRules.Count.Option("--logprobs", "N", "Report the log probability of every token and of the N best: in --json, else on stderr");

    public void AddTo(Command command)
    {
        Option[] all =
        [
            _maxNewTokens, _stop, _ignoreEos, _greedy, _temperature, _topK, _topP, _minP,
            _repetitionPenalty, _presencePenalty, _frequencyPenalty, _logitBias, _seed, _logProbs,
        ];
        foreach (var option in all)
        {
            command.Add(option);
        }

        _logitBias.Validators.Add(result => Validate(result.Tokens, result.AddError));
    }

    /// <summary>The model's defaults with everything that the command line says instead.</summary>
    public GenerationOptions Apply(GenerationOptions defaults, ParseResult parsed)
    {
        bool draws = parsed.GetValue(_temperature) is not null || parsed.GetValue(_topK) is not null || parsed.GetValue(_topP) is not null
            || parsed.GetValue(_minP) is not null || parsed.GetValue(_seed) is not null;
        var sampling = defaults.Sampling;
        return defaults with
        {
            MaxNewTokens = parsed.GetValue(_maxNewTokens) ?? defaults.MaxNewTokens,
            StopStrings = parsed.GetValue(_stop) is { Length: > 0 } stops ? [.. stops.Select(Unescape)] : defaults.StopStrings,
            IgnoreEndOfText = parsed.GetValue(_ignoreEos) || defaults.IgnoreEndOfText,
            TopLogProbabilities = parsed.GetValue(_logProbs) ?? defaults.TopLogProbabilities,
            Sampling = sampling with
            {
                // A model whose own default is greedy samples when asked for a temperature.
                Greedy = parsed.GetValue(_greedy) || (sampling.Greedy && !draws),
                Temperature = parsed.GetValue(_temperature) ?? sampling.Temperature,
                TopK = parsed.GetValue(_topK) ?? sampling.TopK,
                TopP = parsed.GetValue(_topP) ?? sampling.TopP,
                MinP = parsed.GetValue(_minP) ?? sampling.MinP,
                RepetitionPenalty = parsed.GetValue(_repetitionPenalty) ?? sampling.RepetitionPenalty,
                PresencePenalty = parsed.GetValue(_presencePenalty) ?? sampling.PresencePenalty,
                FrequencyPenalty = parsed.GetValue(_frequencyPenalty) ?? sampling.FrequencyPenalty,
                LogitBias = parsed.GetValue(_logitBias) is { Length: > 0 } biases
                    ? biases.Select(b => ParseBias(b)!.Value).GroupBy(b => b.Id).ToDictionary(g => g.Key, g => g.Last().Bias)
                    : sampling.LogitBias,
                Seed = parsed.GetValue(_seed) ?? sampling.Seed,
            },
        };
    }

    private static void Validate(IEnumerable<System.CommandLine.Parsing.Token> tokens, Action<string> addError)
    {
        foreach (var token in tokens.Where(t => ParseBias(t.Value) is null))
        {
            addError($"--logit-bias {token.Value}: expected ID=X, a token id and {NumberRules.Bias.Expected}");
        }
    }

    private static (int Id, float Bias)? ParseBias(string text) =>
        text.Split('=') is [var id, var bias]
        && int.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out int tokenId)
        && NumberRules.Bias.TryParse(bias.Trim().Equals("-inf", StringComparison.OrdinalIgnoreCase) ? "-Infinity" : bias, out float value)
            ? (tokenId, value)
            : null;

    /// <summary>A shell's quotes hold no line feed as typed, and "\n\n" is the stop string most asked for.</summary>
    private static string Unescape(string text) => text
        .Replace(@"\\", "\0", StringComparison.Ordinal)
        .Replace(@"\n", "\n", StringComparison.Ordinal)
        .Replace(@"\t", "\t", StringComparison.Ordinal)
        .Replace('\0', '\\');
}
