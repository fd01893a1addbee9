using System.Text.Json;

namespace Xlstm.Checkpoints;

/// <summary>Reads config.json: the keys of transformers' xLSTMConfig and of the older official xLSTMLargeConfig. Keys about kernels and training are kept for display and not obeyed.</summary>
internal sealed class ConfigReader
{
    private const int MaxFileLength = 1 << 20;

    private readonly string _path;
    private readonly Dictionary<string, JsonElement> _raw;

    private ConfigReader(string path, Dictionary<string, JsonElement> raw)
    {
        _path = path;
        _raw = raw;
    }

    /// <summary>Reads and checks a config.json.</summary>
    /// <returns>The config, and every key as it stands in the file.</returns>
    /// <exception cref="CheckpointException">The file is missing, not JSON, contradictory, or asks for sizes that no model has.</exception>
    public static (XlstmConfig Config, IReadOnlyDictionary<string, JsonElement> Raw) Read(string path)
    {
        Dictionary<string, JsonElement> raw = Parse(path, CheckpointInput.ReadAll(path, MaxFileLength));
        XlstmConfig config = new ConfigReader(path, raw).ToConfig();
        ConfigLimits.Check(config, path);
        return (config, raw);
    }

    private static Dictionary<string, JsonElement> Parse(string path, ReadOnlyMemory<byte> json)
    {
        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { AllowDuplicateProperties = false });
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw new CheckpointException($"{path}: not a JSON object");
            }

            DecodeStrings(document.RootElement);
            return document.RootElement.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.Clone(), StringComparer.Ordinal);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            // The latter two are how broken UTF-8 and lone surrogates surface.
            throw new CheckpointException($"{path}: not valid JSON: {ErrorText.Clean(e.Message)}", e);
        }
    }

    /// <summary>Decodes every name and string once, so that whoever shows a value later need not expect broken text.</summary>
    private static void DecodeStrings(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                foreach (JsonProperty property in element.EnumerateObject())
                {
                    _ = property.Name;
                    DecodeStrings(property.Value);
                }

                break;
            case JsonValueKind.Array:
                foreach (JsonElement item in element.EnumerateArray())
                {
                    DecodeStrings(item);
                }

                break;
            case JsonValueKind.String:
                _ = element.GetString();
                break;
            default:
                break;
        }
    }

    private XlstmConfig ToConfig()
    {
        if (String("model_type") is { } type && type != "xlstm")
        {
            throw new CheckpointException($"{_path}: model_type is {ErrorText.Quote(type)}, expected 'xlstm'");
        }

        var defaults = new XlstmConfig { EmbeddingDim = 1, NumBlocks = 1, NumHeads = 1, VocabSize = 1 };
        return defaults with
        {
            EmbeddingDim = Either("hidden_size", "embedding_dim"),
            NumBlocks = Either("num_hidden_layers", "num_blocks"),
            NumHeads = Integer("num_heads") ?? throw Missing("num_heads"),
            VocabSize = Integer("vocab_size") ?? throw Missing("vocab_size"),
            QkDimFactor = Number("qk_dim_factor") ?? defaults.QkDimFactor,
            VDimFactor = Number("v_dim_factor") ?? defaults.VDimFactor,
            FfnProjFactor = Number("ffn_proj_factor") ?? defaults.FfnProjFactor,
            FfnRoundUpToMultipleOf = Integer("ffn_round_up_to_multiple_of") ?? defaults.FfnRoundUpToMultipleOf,
            NormEps = (float?)Number("norm_eps") ?? defaults.NormEps,
            Eps = (float?)Number("eps") ?? defaults.Eps,
            GateSoftCap = Cap("gate_soft_cap", defaults.GateSoftCap),
            OutputLogitSoftCap = Cap("output_logit_soft_cap", defaults.OutputLogitSoftCap),
            UseBias = Boolean("use_bias") ?? defaults.UseBias,
            AddOutNorm = Boolean("add_out_norm") ?? defaults.AddOutNorm,
            TieWordEmbeddings = Boolean("tie_word_embeddings") ?? defaults.TieWordEmbeddings,
            WeightMode = String("weight_mode") switch
            {
                null => defaults.WeightMode,
                "single" => WeightMode.Single,
                "fused" => WeightMode.Fused,
                var other => throw new CheckpointException($"{_path}: weight_mode is {ErrorText.Quote(other)}, expected 'single' or 'fused'"),
            },
        };
    }

    /// <summary>A size with a newer and an older key: transformers writes both, and null for the one it was not given.</summary>
    private int Either(string newer, string older)
    {
        int? first = IsNull(newer) ? null : Integer(newer);
        int? second = IsNull(older) ? null : Integer(older);
        if (first is { } a && second is { } b && a != b)
        {
            throw new CheckpointException($"{_path}: {newer} is {a}, but {older} is {b}");
        }

        return first ?? second ?? throw new CheckpointException($"{_path}: neither {newer} nor {older} is there");
    }

    private float? Cap(string key, float? absent) => IsNull(key) ? null : (float?)Number(key) ?? absent;

    private bool IsNull(string key) => _raw.TryGetValue(key, out JsonElement value) && value.ValueKind == JsonValueKind.Null;

    private int? Integer(string key)
    {
        if (!_raw.TryGetValue(key, out JsonElement value))
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int integer) ? integer : throw WrongType(key, "a whole number below 2^31", value);
    }

    private double? Number(string key)
    {
        if (!_raw.TryGetValue(key, out JsonElement value))
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) ? number : throw WrongType(key, "a number", value);
    }

    private bool? Boolean(string key)
    {
        if (!_raw.TryGetValue(key, out JsonElement value))
        {
            return null;
        }

        return value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw WrongType(key, "true or false", value);
    }

    private string? String(string key)
    {
        if (!_raw.TryGetValue(key, out JsonElement value))
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.String ? value.GetString() : throw WrongType(key, "a string", value);
    }

    private CheckpointException Missing(string key) => new($"{_path}: {key} is missing");

    private CheckpointException WrongType(string key, string expected, JsonElement found) =>
        new($"{_path}: {key} is {ErrorText.Clean(found.GetRawText())}, expected {expected}");
}
