using System.Text.Json;
using Xlstm.Checkpoints;

namespace Xlstm.Generation;

/// <summary>Reads the generation settings that a checkpoint's makers recommend: <c>generation_config.json</c>, as Hugging Face transformers writes it.</summary>
public static class GenerationConfig
{
    private const string FileName = "generation_config.json";
    private const long MaxBytes = 1 << 20;

    /// <summary>
    /// The defaults of <see cref="GenerationOptions"/> with what the file says put over them, key by key: <c>do_sample</c>,
    /// <c>temperature</c>, <c>top_k</c>, <c>top_p</c>, <c>min_p</c>, <c>repetition_penalty</c>, <c>max_new_tokens</c> and <c>stop_strings</c>.
    /// A key that is null counts as absent and other keys are not read.
    /// </summary>
    /// <param name="folder">The checkpoint's folder; without the file the defaults stand.</param>
    /// <exception cref="CheckpointException">The file cannot be read, is not a JSON object or holds a value of the wrong type or out of its range.</exception>
    public static GenerationOptions Read(string folder)
    {
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
        {
            return new GenerationOptions();
        }

        try
        {
            using FileStream stream = File.OpenRead(path);
            if (stream.Length > MaxBytes)
            {
                throw new XlstmException($"expected at most {MaxBytes} bytes, found {stream.Length}");
            }

            using var document = JsonDocument.Parse(stream);
            GenerationOptions options = Read(document.RootElement);
            options.Validate();
            return options;
        }
        catch (Exception e) when (e is XlstmException or JsonException or InvalidOperationException or IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{path}: {(e is JsonException ? "not valid JSON: " : "")}{e.Message}", e);
        }
    }

    private static GenerationOptions Read(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw Expected("a JSON object", root);
        }

        var options = new GenerationOptions();
        SamplingOptions sampling = options.Sampling;
        return options with
        {
            MaxNewTokens = Get(root, "max_new_tokens", Integer) ?? options.MaxNewTokens,
            StopStrings = Get(root, "stop_strings", Strings) ?? options.StopStrings,
            Sampling = sampling with
            {
                Greedy = !(Get(root, "do_sample", Boolean) ?? !sampling.Greedy),
                Temperature = Get(root, "temperature", Number) ?? sampling.Temperature,
                TopK = Get(root, "top_k", Integer) ?? sampling.TopK,
                TopP = Get(root, "top_p", Number) ?? sampling.TopP,
                MinP = Get(root, "min_p", Number) ?? sampling.MinP,
                RepetitionPenalty = Get(root, "repetition_penalty", Number) ?? sampling.RepetitionPenalty,
            },
        };
    }

    /// <summary>The value of a key, or the default of its type (null) if it is absent or null.</summary>
    private static T? Get<T>(JsonElement root, string key, Func<JsonElement, T?> read)
    {
        if (!root.TryGetProperty(key, out JsonElement value) || value.ValueKind == JsonValueKind.Null)
        {
            return default;
        }

        try
        {
            return read(value);
        }
        catch (XlstmException e)
        {
            throw new XlstmException($"{key}: {e.Message}", e);
        }
    }

    private static bool? Boolean(JsonElement value) =>
        value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Expected("true or false", value);

    private static int? Integer(JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int result) ? result : throw Expected("an integer", value);

    private static float? Number(JsonElement value) =>
        value.ValueKind == JsonValueKind.Number ? value.GetSingle() : throw Expected("a number", value);

    private static string[] Strings(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => [value.GetString()!],
        JsonValueKind.Array =>
            [.. value.EnumerateArray().Select(item => item.ValueKind == JsonValueKind.String ? item.GetString()! : throw Expected("strings", item))],
        _ => throw Expected("a string or an array of strings", value),
    };

    private static XlstmException Expected(string what, JsonElement found)
    {
        string text = found.GetRawText().ReplaceLineEndings(" ");
        return new XlstmException($"expected {what}, found {(text.Length <= 40 ? text : text[..40] + "...")}");
    }
}
