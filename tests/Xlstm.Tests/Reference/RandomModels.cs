using System.Text.Json;
using System.Text.Json.Nodes;

namespace Xlstm.Tests.Reference;

/// <summary>How a random model is stored.</summary>
/// <param name="DType">F32, BF16 or F16.</param>
/// <param name="Fused">q|k|v|o, i|f and gate|up as one tensor each.</param>
/// <param name="Shards">Number of files; tensors go round them in turn.</param>
/// <param name="Index">With several shards: Hugging Face's names and an index, else <c>model_0.safetensors</c> and so on without one.</param>
internal sealed record CheckpointLayout(string DType = "F32", bool Fused = false, int Shards = 1, bool Index = true);

/// <summary>A small model with random weights, in double precision but of values that its dtype holds exactly.</summary>
internal sealed record RandomModel(XlstmConfig Config, string DType, IReadOnlyDictionary<string, StoredTensor> Tensors)
{
    public ReferenceModel Reference { get; } = new(Config, Tensors.ToDictionary(pair => pair.Key, pair => pair.Value.Values));

    /// <summary>Token ids, each in [0, V).</summary>
    public int[] RandomIds(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(Config.VocabSize))];
}

/// <summary>Makes small models of odd sizes with weights like those of trained ones, and checkpoint folders of them.</summary>
internal static class RandomModels
{
    /// <summary>Sizes that kernels of 4 rows and 16 lanes get wrong first: 1 to 4 heads, widths that are no multiples of anything, an odd vocabulary.</summary>
    public static XlstmConfig RandomConfig(Random random)
    {
        T Pick<T>(params T[] choices) => choices[random.Next(choices.Length)];
        int heads = random.Next(1, 5);
        return new XlstmConfig
        {
            EmbeddingDim = 2 * heads * random.Next(1, 14), // so that half of it, or once and a half of it, divides among the heads
            NumBlocks = random.Next(1, 4),
            NumHeads = heads,
            VocabSize = (2 * random.Next(3, 100)) + 1,
            QkDimFactor = Pick(0.5, 0.5, 1.0, 1.5),
            VDimFactor = Pick(1.0, 1.0, 0.5, 2.0),
            FfnProjFactor = Pick(2.667, 1.3),
            FfnRoundUpToMultipleOf = Pick(1, 3, 7, 8, 64),
            NormEps = Pick(1e-6f, 1e-5f, 1e-3f),
            Eps = Pick(1e-6f, 1e-2f),
            GateSoftCap = Pick<float?>(15, 7, null),
            OutputLogitSoftCap = Pick<float?>(30, 5, null),
            UseBias = Pick(false, true),
            AddOutNorm = Pick(true, true, false),
            TieWordEmbeddings = Pick(false, false, true),
        };
    }

    /// <summary>Random weights for a config. Gates are as in trained models: input gates mostly almost shut, forget gates mostly open.</summary>
    public static RandomModel Create(Random random, XlstmConfig? config = null, string dtype = "F32")
    {
        config ??= RandomConfig(random);
        Dictionary<string, StoredTensor> tensors = [];
        int d = config.EmbeddingDim;

        void Add(string name, int[] shape, Func<double> draw) =>
            tensors.Add(name, new StoredTensor(dtype, shape, [.. Enumerable.Range(0, shape.Aggregate(1, (a, b) => a * b)).Select(_ => TestSafetensors.Round(dtype, draw()))]));
        double Normal(double deviation) => deviation * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(Math.Tau * random.NextDouble());
        double Uniform(double low, double high) => low + ((high - low) * random.NextDouble());

        void Linear(string name, int rows, int columns)
        {
            Add(name + ".weight", [rows, columns], () => Normal(1 / Math.Sqrt(columns)));
            if (config.UseBias)
            {
                Add(name + ".bias", [rows], () => Normal(0.1));
            }
        }

        void Norm(string name, int size)
        {
            Add(name + ".weight", [size], () => Uniform(0.7, 1.3));
            if (config.UseBias)
            {
                Add(name + ".bias", [size], () => Normal(0.1));
            }
        }

        void Gate(string name, double low, double high)
        {
            Add(name + ".weight", [config.NumHeads, d], () => Normal(0.7 / Math.Sqrt(d)));
            Add(name + ".bias", [config.NumHeads], () => Uniform(low, high));
        }

        Add("backbone.embeddings.weight", [config.VocabSize, d], () => Normal(0.7));
        for (int block = 0; block < config.NumBlocks; block++)
        {
            string name = $"backbone.blocks.{block}.";
            Norm(name + "norm_mlstm", d);
            Linear(name + "mlstm_layer.q", config.QkDim, d);
            Linear(name + "mlstm_layer.k", config.QkDim, d);
            Linear(name + "mlstm_layer.v", config.VDim, d);
            Linear(name + "mlstm_layer.ogate_preact", config.VDim, d);
            Gate(name + "mlstm_layer.igate_preact", -10, 2);
            Gate(name + "mlstm_layer.fgate_preact", 3, 6);
            Norm(name + "mlstm_layer.multihead_norm", config.VDim);
            Linear(name + "mlstm_layer.out_proj", d, config.VDim);
            Norm(name + "norm_ffn", d);
            Linear(name + "ffn.proj_up_gate", config.FfnDim, d);
            Linear(name + "ffn.proj_up", config.FfnDim, d);
            Linear(name + "ffn.proj_down", d, config.FfnDim);
        }

        if (config.AddOutNorm)
        {
            Norm("backbone.out_norm", d);
        }

        if (!config.TieWordEmbeddings)
        {
            Add("lm_head.weight", [config.VocabSize, d], () => Normal(2 / Math.Sqrt(d)));
        }

        return new RandomModel(config, dtype, tensors);
    }

    /// <summary>Writes a checkpoint folder: config.json and safetensors, no tokenizer.</summary>
    /// <param name="folder">An existing folder.</param>
    /// <param name="model">The model, its values rounded to the layout's dtype when it was made.</param>
    /// <param name="layout">How to store it.</param>
    public static void WriteCheckpoint(string folder, RandomModel model, CheckpointLayout layout)
    {
        if (layout.DType != model.DType)
        {
            throw new ArgumentException($"the model's values are rounded to {model.DType}, not {layout.DType}", nameof(layout));
        }

        KeyValuePair<string, StoredTensor>[] tensors = [.. layout.Fused ? Fuse(model) : model.Tensors];
        var weightMap = new JsonObject();
        for (int shard = 0; shard < layout.Shards; shard++)
        {
            string file = layout.Shards == 1 ? "model.safetensors"
                : layout.Index ? $"model-{shard + 1:D5}-of-{layout.Shards:D5}.safetensors"
                : $"model_{shard}.safetensors";
            Dictionary<string, StoredTensor> held = tensors.Where((_, i) => i % layout.Shards == shard).ToDictionary();
            TestSafetensors.Write(Path.Combine(folder, file), held);
            foreach (string name in held.Keys)
            {
                weightMap[name] = file;
            }
        }

        if (layout.Shards > 1 && layout.Index)
        {
            var index = new JsonObject { ["metadata"] = new JsonObject(), ["weight_map"] = weightMap };
            File.WriteAllBytes(Path.Combine(folder, "model.safetensors.index.json"), JsonSerializer.SerializeToUtf8Bytes(index));
        }

        File.WriteAllBytes(Path.Combine(folder, "config.json"), JsonSerializer.SerializeToUtf8Bytes(Describe(model.Config, layout)));
    }

    /// <summary>The tensors with those that belong together joined by rows.</summary>
    private static Dictionary<string, StoredTensor> Fuse(RandomModel model)
    {
        Dictionary<string, StoredTensor> tensors = new(model.Tensors);
        for (int block = 0; block < model.Config.NumBlocks; block++)
        {
            foreach (string fused in (string[])["mlstm_layer.qkv_opreact", "mlstm_layer.ifgate_preact", "ffn.proj_up_gate_z"])
            {
                foreach (string kind in (string[])["weight", "bias"])
                {
                    string[] names = [.. ReferenceCheckpoint.Parts(model.Config, fused).Select(part => $"backbone.blocks.{block}.{part.Name}.{kind}")];
                    if (tensors.ContainsKey(names[0]))
                    {
                        StoredTensor[] parts = [.. names.Select(name => tensors[name])];
                        tensors.Add($"backbone.blocks.{block}.{fused}.{kind}", new StoredTensor(
                            model.DType,
                            [parts.Sum(part => part.Shape[0]), .. parts[0].Shape[1..]],
                            [.. parts.SelectMany(part => part.Values)]));
                        Array.ForEach(names, name => tensors.Remove(name));
                    }
                }
            }
        }

        return tensors;
    }

    private static JsonObject Describe(XlstmConfig config, CheckpointLayout layout) => new()
    {
        ["model_type"] = "xlstm",
        ["vocab_size"] = config.VocabSize,
        ["embedding_dim"] = config.EmbeddingDim,
        ["num_blocks"] = config.NumBlocks,
        ["num_heads"] = config.NumHeads,
        ["qk_dim_factor"] = config.QkDimFactor,
        ["v_dim_factor"] = config.VDimFactor,
        ["ffn_proj_factor"] = config.FfnProjFactor,
        ["ffn_round_up_to_multiple_of"] = config.FfnRoundUpToMultipleOf,
        ["norm_eps"] = config.NormEps,
        ["eps"] = config.Eps,
        ["gate_soft_cap"] = config.GateSoftCap,
        ["output_logit_soft_cap"] = config.OutputLogitSoftCap,
        ["use_bias"] = config.UseBias,
        ["add_out_norm"] = config.AddOutNorm,
        ["tie_word_embeddings"] = config.TieWordEmbeddings,
        ["weight_mode"] = layout.Fused ? "fused" : "single",
        ["chunk_size"] = 64,
    };
}
