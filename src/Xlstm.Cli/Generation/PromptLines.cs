using System.Text.Json;
using Xlstm.Cli.Arguments;

namespace Xlstm.Cli.Generation;

/// <summary>
/// The file of <c>--prompts</c>: a line is a JSON string, or an object with <c>prompt</c> or <c>prompt_ids</c>, an <c>id</c> to hand
/// back, and any option of <c>generate</c> in snake_case that this prompt alone should have.
/// </summary>
internal static class PromptLines
{
    /// <param name="text">The file.</param>
    /// <param name="name">Its name, for errors.</param>
    /// <param name="defaults">Options of prompts that say nothing else.</param>
    /// <exception cref="XlstmException">A line is not as described; the message names it.</exception>
    public static IReadOnlyList<GenerationJob> Parse(string text, string name, GenerationOptions defaults)
    {
        var jobs = new List<GenerationJob>();
        int number = 0;
        foreach (var line in text.AsSpan().EnumerateLines())
        {
            number++;
            if (line.IsWhiteSpace())
            {
                continue;
            }

            string source = $"{name} line {number}";
            try
            {
                using var json = JsonDocument.Parse(line.ToString());
                jobs.Add(Parse(json.RootElement, source, defaults));
            }
            catch (JsonException e)
            {
                throw new XlstmException($"{source} is not JSON: {e.Message}", e);
            }
        }
        return jobs.Count > 0 ? jobs : throw new XlstmException($"{name} holds no prompts");
    }

    private static GenerationJob Parse(JsonElement line, string source, GenerationOptions defaults)
    {
        if (line.ValueKind == JsonValueKind.String)
        {
            return new GenerationJob { Source = source, Prompt = line.GetString(), Options = defaults };
        }

        if (line.ValueKind != JsonValueKind.Object)
        {
            throw new XlstmException($"{source}: expected a JSON string or object, found {line.ValueKind}");
        }

        var job = new GenerationJob { Source = source, Options = defaults };
        foreach (var property in line.EnumerateObject())
        {
            string what = $"{source}: {property.Name}";
            var value = property.Value;
            job = property.Name switch
            {
                "prompt" => job with { Prompt = Text(value, what) },
                "prompt_ids" => job with { PromptIds = [.. Elements(value, what).Select(v => Number(v, NumberRules.Count, what))] },
                "id" => job with { Id = value.Clone() },
                "max_new_tokens" => job with { Options = job.Options with { MaxNewTokens = Number(value, NumberRules.Count, what) } },
                "stop" => job with { Options = job.Options with { StopStrings = value.ValueKind == JsonValueKind.String ? [Text(value, what)] : [.. Elements(value, what).Select(v => Text(v, what))] } },
                "ignore_eos" => job with { Options = job.Options with { IgnoreEndOfText = Truth(value, what) } },
                "logprobs" => job with { Options = job.Options with { TopLogProbabilities = Number(value, NumberRules.Count, what) } },
                _ => job with { Options = job.Options with { Sampling = Parse(property, what, job.Options.Sampling) } },
            };
        }
        return (job.Prompt is null) == (job.PromptIds is null)
            ? throw new XlstmException($"{source}: expected either prompt or prompt_ids")
            : job;
    }

    private static SamplingOptions Parse(JsonProperty property, string what, SamplingOptions sampling) => property.Name switch
    {
        "greedy" => sampling with { Greedy = Truth(property.Value, what) },
        "temperature" => sampling with { Temperature = Number(property.Value, NumberRules.NotNegative, what) },
        "top_k" => sampling with { TopK = Number(property.Value, NumberRules.Count, what) },
        "top_p" => sampling with { TopP = Number(property.Value, NumberRules.PositiveProbability, what) },
        "min_p" => sampling with { MinP = Number(property.Value, NumberRules.Probability, what) },
        "repetition_penalty" => sampling with { RepetitionPenalty = Number(property.Value, NumberRules.AboveZero, what) },
        "presence_penalty" => sampling with { PresencePenalty = Number(property.Value, NumberRules.Finite, what) },
        "frequency_penalty" => sampling with { FrequencyPenalty = Number(property.Value, NumberRules.Finite, what) },
        "logit_bias" => sampling with { LogitBias = Biases(property.Value, what) },
        "seed" => sampling with { Seed = Number(property.Value, NumberRules.Seed, what) },
        _ => throw new XlstmException($"{what} is not an option"),
    };

    /// <summary>An object of ids and biases. JSON has no infinity, so null is what forbids a token.</summary>
    private static Dictionary<int, float> Biases(JsonElement value, string what)
    {
        if (value.ValueKind != JsonValueKind.Object)
        {
            throw new XlstmException($"{what}: expected an object of token ids and numbers, found {value.ValueKind}");
        }

        var biases = new Dictionary<int, float>();
        foreach (var bias in value.EnumerateObject())
        {
            if (!NumberRules.Count.TryParse(bias.Name, out int id))
            {
                throw new XlstmException($"{what}: expected a token id, found '{bias.Name}'");
            }

            biases[id] = bias.Value.ValueKind == JsonValueKind.Null ? float.NegativeInfinity : Number(bias.Value, NumberRules.Finite, what);
        }
        return biases;
    }

    private static string Text(JsonElement value, string what) =>
        value.ValueKind == JsonValueKind.String ? value.GetString()! : throw new XlstmException($"{what}: expected text, found {value.ValueKind}");

    private static bool Truth(JsonElement value, string what) =>
        value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw new XlstmException($"{what}: expected true or false, found {value.ValueKind}");

    private static JsonElement.ArrayEnumerator Elements(JsonElement value, string what) =>
        value.ValueKind == JsonValueKind.Array ? value.EnumerateArray() : throw new XlstmException($"{what}: expected a list, found {value.ValueKind}");

    private static T Number<T>(JsonElement value, NumberRule<T> rule, string what)
        where T : struct, System.Numerics.INumber<T> =>
        value.ValueKind == JsonValueKind.Number && rule.TryParse(value.GetRawText(), out var number)
            ? number
            : throw new XlstmException($"{what}: expected {rule.Expected}, found {(value.ValueKind == JsonValueKind.Number ? value.GetRawText() : value.ValueKind)}");
}
