using CsCheck;
using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests.Checkpoints;

public class ConfigReaderTests
{
    private const string Minimal = "\"hidden_size\":64,\"num_hidden_layers\":2,\"num_heads\":4,\"vocab_size\":100";

    [Fact]
    public void AbsentKeysHaveTheDefaultsOfTheArchitecture()
    {
        XlstmConfig config = Read("{" + Minimal + "}");
        Assert.Equal(new XlstmConfig { EmbeddingDim = 64, NumBlocks = 2, NumHeads = 4, VocabSize = 100 }, config);
        Assert.Equal((0.5, 1.0, 2.667, 64, 1e-6f, 1e-6f), (config.QkDimFactor, config.VDimFactor, config.FfnProjFactor, config.FfnRoundUpToMultipleOf, config.NormEps, config.Eps));
        Assert.Equal((15f, 30f, false, true, false), (config.GateSoftCap, config.OutputLogitSoftCap, config.UseBias, config.AddOutNorm, config.TieWordEmbeddings));
    }

    [Fact]
    public void EveryKeyIsRead()
    {
        XlstmConfig config = Read("""
            {"embedding_dim": 96, "num_blocks": 3, "num_heads": 2, "vocab_size": 7, "qk_dim_factor": 1, "v_dim_factor": 2.0, "ffn_proj_factor": 2.0, "ffn_round_up_to_multiple_of": 32,
             "norm_eps": 1e-5, "eps": 0, "gate_soft_cap": null, "output_logit_soft_cap": null, "use_bias": true, "add_out_norm": false, "tie_word_embeddings": true, "weight_mode": "fused",
             "model_type": "xlstm", "chunk_size": "shown, not obeyed", "nested": {"a": [null]}}
            """);
        Assert.Equal(
            new XlstmConfig
            {
                EmbeddingDim = 96,
                NumBlocks = 3,
                NumHeads = 2,
                VocabSize = 7,
                QkDimFactor = 1,
                VDimFactor = 2,
                FfnProjFactor = 2,
                FfnRoundUpToMultipleOf = 32,
                NormEps = 1e-5f,
                Eps = 0,
                GateSoftCap = null,
                OutputLogitSoftCap = null,
                UseBias = true,
                AddOutNorm = false,
                TieWordEmbeddings = true,
                WeightMode = WeightMode.Fused,
            },
            config);
    }

    [Fact]
    public void ByteOrderMarkIsSkipped() => Assert.Equal(64, Read("\uFEFF{" + Minimal + "}").EmbeddingDim);

    /// <summary>Risk: overflow, absurd allocation or a wrong model from a config that no model has.</summary>
    [Theory]
    [InlineData("", "the file is empty")]
    [InlineData("[1]", "not a JSON object")]
    [InlineData("{" + Minimal, "not valid JSON")]
    [InlineData("{" + Minimal + ",}", "not valid JSON")]
    [InlineData("{" + Minimal + ",\"vocab_size\":5}", "not valid JSON")]
    [InlineData("{\"num_hidden_layers\":2,\"num_heads\":4,\"vocab_size\":100}", "neither hidden_size nor embedding_dim is there")]
    [InlineData("{\"hidden_size\":64,\"num_heads\":4,\"vocab_size\":100}", "neither num_hidden_layers nor num_blocks is there")]
    [InlineData("{\"hidden_size\":64,\"num_hidden_layers\":2,\"vocab_size\":100}", "num_heads is missing")]
    [InlineData("{\"hidden_size\":64,\"num_hidden_layers\":2,\"num_heads\":4}", "vocab_size is missing")]
    [InlineData("{" + Minimal + ",\"embedding_dim\":65}", "hidden_size is 64, but embedding_dim is 65")]
    [InlineData("{" + Minimal + ",\"embedding_dim\":\"64\"}", "embedding_dim is \"64\", expected a whole number")]
    [InlineData("{" + Minimal + ",\"embedding_dim\":64.5}", "embedding_dim is 64.5, expected a whole number")]
    [InlineData("{" + Minimal + ",\"use_bias\":1}", "use_bias is 1, expected true or false")]
    [InlineData("{" + Minimal + ",\"use_bias\":null}", "use_bias is null, expected true or false")]
    [InlineData("{" + Minimal + ",\"weight_mode\":\"double\"}", "weight_mode is 'double', expected 'single' or 'fused'")]
    [InlineData("{" + Minimal + ",\"weight_mode\":\"\\ud800\"}", "not valid JSON")]
    [InlineData("{" + Minimal + ",\"nested\":[{\"a\":\"\\ud800\"}]}", "not valid JSON")]
    [InlineData("{" + Minimal + ",\"nested\":[{\"\\udc00\":1}]}", "not valid JSON")]
    [InlineData("{" + Minimal + ",\"model_type\":\"llama\"}", "model_type is 'llama', expected 'xlstm'")]
    [InlineData("{" + Minimal + ",\"gate_soft_cap\":0}", "gate_soft_cap is 0, expected a number above 0")]
    [InlineData("{" + Minimal + ",\"gate_soft_cap\":-15}", "gate_soft_cap is -15")]
    [InlineData("{" + Minimal + ",\"output_logit_soft_cap\":1e300}", "output_logit_soft_cap is Infinity")]
    [InlineData("{" + Minimal + ",\"norm_eps\":-1e-6}", "norm_eps is -1E-06")]
    [InlineData("{" + Minimal + ",\"eps\":1e999}", "eps is Infinity")]
    [InlineData("{" + Minimal + ",\"qk_dim_factor\":0}", "qk_dim_factor is 0")]
    [InlineData("{" + Minimal + ",\"qk_dim_factor\":0.01}", "hidden_size * qk_dim_factor is 0.64, expected 1 to")]
    [InlineData("{" + Minimal + ",\"qk_dim_factor\":1e300}", "hidden_size * qk_dim_factor is")]
    [InlineData("{" + Minimal + ",\"v_dim_factor\":1e18}", "hidden_size * v_dim_factor is")]
    [InlineData("{" + Minimal + ",\"ffn_proj_factor\":1e30}", "hidden_size * ffn_proj_factor is")]
    [InlineData("{" + Minimal + ",\"ffn_proj_factor\":0.001}", "hidden_size * ffn_proj_factor, rounded, is 0")]
    [InlineData("{" + Minimal + ",\"ffn_round_up_to_multiple_of\":0}", "ffn_round_up_to_multiple_of is 0")]
    [InlineData("{" + Minimal + ",\"qk_dim_factor\":0.53}", "hidden_size * qk_dim_factor is 33, which num_heads 4 does not divide")]
    [InlineData("{" + Minimal + ",\"v_dim_factor\":0.8}", "hidden_size * v_dim_factor is 51, which num_heads 4 does not divide")]
    [InlineData("{\"hidden_size\":2147483647,\"num_hidden_layers\":2,\"num_heads\":4,\"vocab_size\":100}", "hidden_size is 2147483647, expected 1 to")]
    [InlineData("{\"hidden_size\":-64,\"num_hidden_layers\":2,\"num_heads\":4,\"vocab_size\":100}", "hidden_size is -64")]
    [InlineData("{\"hidden_size\":64,\"num_hidden_layers\":2147483647,\"num_heads\":4,\"vocab_size\":100}", "num_hidden_layers is 2147483647")]
    [InlineData("{\"hidden_size\":64,\"num_hidden_layers\":99999999999,\"num_heads\":4,\"vocab_size\":100}", "num_hidden_layers is 99999999999, expected a whole number below 2^31")]
    [InlineData("{\"hidden_size\":64,\"num_hidden_layers\":2,\"num_heads\":0,\"vocab_size\":100}", "num_heads is 0")]
    [InlineData("{\"hidden_size\":64,\"num_hidden_layers\":2,\"num_heads\":4,\"vocab_size\":2000000000}", "vocab_size is 2000000000")]
    [InlineData("{\"hidden_size\":1048576,\"num_hidden_layers\":16384,\"num_heads\":4096,\"vocab_size\":16777216,\"ffn_proj_factor\":1}", "parameters, expected at most")]
    [InlineData("{\"hidden_size\":65536,\"num_hidden_layers\":1,\"num_heads\":1,\"vocab_size\":100,\"qk_dim_factor\":1.0,\"ffn_proj_factor\":1}", "state of a block would have 4294967296 elements")]
    public void UnsoundConfigIsOneClearLine(string json, string expected)
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("config.json", json);
        long before = GC.GetAllocatedBytesForCurrentThread();
        var e = Assert.Throws<CheckpointException>(() => XlstmConfig.Read(path));
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1 << 20);
        Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
        Assert.Contains(expected, e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(e.Message, char.IsControl);
    }

    [Fact]
    public void DeepNestingAndLongFilesAreRefused()
    {
        Assert.Contains("not valid JSON", Assert.Throws<CheckpointException>(() => Read("{\"a\":" + new string('[', 100_000))).Message, StringComparison.Ordinal);
        Assert.Contains("expected at most", Assert.Throws<CheckpointException>(() => Read("{" + new string(' ', 1 << 20) + "}")).Message, StringComparison.Ordinal);
    }

    /// <summary>The count of parameters and the list of tensors are two statements of one thing.</summary>
    [Fact]
    public void ParameterCountIsTheSumOfTheTensors()
    {
        Assert.Equal(6_865_424_896, KnownSizes.Resolve("xlstm-7b").ParameterCount);
        Gen.Select(Gen.Int[1, 8], Gen.Int[1, 3], Gen.Int[1, 4], Gen.Int[1, 50], Gen.Bool, Gen.Bool, Gen.Bool, Gen.Bool).Sample(
            (width, blocks, heads, vocabulary, bias, outNorm, tied, fused) =>
            {
                var config = new XlstmConfig
                {
                    EmbeddingDim = width * heads * 2,
                    NumBlocks = blocks,
                    NumHeads = heads,
                    VocabSize = vocabulary,
                    UseBias = bias,
                    AddOutNorm = outNorm,
                    TieWordEmbeddings = tied,
                    WeightMode = fused ? WeightMode.Fused : WeightMode.Single,
                };
                return config.ParameterCount == TensorLayout.Enumerate(config, TensorNames.HuggingFace, !tied).Sum(tensor => tensor.Elements);
            },
            iter: 200);
    }

    /// <summary>Risk: another width than the official code, whose values these are: it rounds up by 63 / 64 of a multiple, so 2048.256 becomes 2048.</summary>
    [Theory]
    [InlineData(4096, 2.667, 64, 10944)]
    [InlineData(768, 2.667, 64, 2048)]
    [InlineData(96, 2.6667, 64, 256)]
    [InlineData(64, 2.0, 32, 128)]
    [InlineData(10, 4.7, 48, 48)]
    [InlineData(2048, 2.667, 100, 5500)]
    public void FfnDimIsTheOfficialCodes(int d, double factor, int multiple, int expected) =>
        Assert.Equal(expected, new XlstmConfig { EmbeddingDim = d, NumBlocks = 1, NumHeads = 1, VocabSize = 1, FfnProjFactor = factor, FfnRoundUpToMultipleOf = multiple }.FfnDim);

    [Fact]
    public void BrokenUtf8IsRefused()
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("config.json", [.. System.Text.Encoding.UTF8.GetBytes("{" + Minimal + ",\"weight_mode\":\"sing"), 0x81, .. "le\"}"u8]);
        Assert.Contains("not valid JSON", Assert.Throws<CheckpointException>(() => XlstmConfig.Read(path)).Message, StringComparison.Ordinal);
    }

    private static XlstmConfig Read(string json)
    {
        using var folder = new TemporaryFolder();
        return XlstmConfig.Read(folder.Write("config.json", json));
    }
}
