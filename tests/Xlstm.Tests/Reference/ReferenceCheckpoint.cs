using System.Text.Json;

namespace Xlstm.Tests.Reference;

/// <summary>A checkpoint folder as the reference implementation reads it: no checks, Hugging Face names, fused tensors taken apart.</summary>
internal static class ReferenceCheckpoint
{
    public static (XlstmConfig Config, Dictionary<string, double[]> Weights) Read(string folder)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "config.json")));
        XlstmConfig config = ReadConfig(json.RootElement);
        Dictionary<string, double[]> weights = [];
        foreach (string path in Directory.GetFiles(folder, "model*.safetensors"))
        {
            foreach ((string name, StoredTensor tensor) in TestSafetensors.Read(path))
            {
                foreach ((string part, double[] values) in Split(config, name, tensor))
                {
                    weights.Add(part, values);
                }
            }
        }

        return (config, weights);
    }

    /// <summary>Names of the tensors that a fused one holds, in order, and the rows of each.</summary>
    public static (string Name, int Rows)[] Parts(XlstmConfig config, string fused) => fused switch
    {
        "mlstm_layer.qkv_opreact" =>
            [("mlstm_layer.q", config.QkDim), ("mlstm_layer.k", config.QkDim), ("mlstm_layer.v", config.VDim), ("mlstm_layer.ogate_preact", config.VDim)],
        "mlstm_layer.ifgate_preact" => [("mlstm_layer.igate_preact", config.NumHeads), ("mlstm_layer.fgate_preact", config.NumHeads)],
        "ffn.proj_up_gate_z" => [("ffn.proj_up_gate", config.FfnDim), ("ffn.proj_up", config.FfnDim)],
        _ => [],
    };

    private static IEnumerable<(string Name, double[] Values)> Split(XlstmConfig config, string name, StoredTensor tensor)
    {
        string[] dots = name.Split('.'); // backbone.blocks.N.layer.role.kind
        (string Name, int Rows)[] parts = dots.Length == 6 ? Parts(config, $"{dots[3]}.{dots[4]}") : [];
        if (parts.Length == 0)
        {
            yield return (name, tensor.Values);
        }

        int rowSize = tensor.Values.Length / tensor.Shape[0];
        int first = 0;
        foreach ((string part, int rows) in parts)
        {
            yield return ($"backbone.blocks.{dots[2]}.{part}.{dots[5]}", tensor.Values[(first * rowSize)..((first + rows) * rowSize)]);
            first += rows;
        }
    }

    private static XlstmConfig ReadConfig(JsonElement json)
    {
        float? Cap(string key) => json.GetProperty(key).ValueKind == JsonValueKind.Null ? null : json.GetProperty(key).GetSingle();
        return new XlstmConfig
        {
            EmbeddingDim = json.GetProperty("embedding_dim").GetInt32(),
            NumBlocks = json.GetProperty("num_blocks").GetInt32(),
            NumHeads = json.GetProperty("num_heads").GetInt32(),
            VocabSize = json.GetProperty("vocab_size").GetInt32(),
            QkDimFactor = json.GetProperty("qk_dim_factor").GetDouble(),
            VDimFactor = json.GetProperty("v_dim_factor").GetDouble(),
            FfnProjFactor = json.GetProperty("ffn_proj_factor").GetDouble(),
            FfnRoundUpToMultipleOf = json.GetProperty("ffn_round_up_to_multiple_of").GetInt32(),
            NormEps = json.GetProperty("norm_eps").GetSingle(),
            Eps = json.GetProperty("eps").GetSingle(),
            GateSoftCap = Cap("gate_soft_cap"),
            OutputLogitSoftCap = Cap("output_logit_soft_cap"),
            UseBias = json.GetProperty("use_bias").GetBoolean(),
            AddOutNorm = json.GetProperty("add_out_norm").GetBoolean(),
            TieWordEmbeddings = json.GetProperty("tie_word_embeddings").GetBoolean(),
            WeightMode = json.GetProperty("weight_mode").GetString() == "fused" ? WeightMode.Fused : WeightMode.Single,
        };
    }
}
