using System.Text.Json;
using Xlstm.Cli.Output;
using Xunit;

namespace Xlstm.Cli.Tests;

/// <summary>Risk: the block differs by a character from what the official Python stack prints, and a diff of two installations lies.</summary>
public class ConfigBlockTests
{
    private const string Official = """
        mLSTMLayerConfig(embedding_dim=4096,
                         num_heads=8,
                         use_bias=False,
                         norm_eps=1e-06,
                         norm_reduction_force_float32=True,
                         qk_dim_factor=0.5,
                         v_dim_factor=1.0,
                         gate_soft_cap=15.0,
                         mlstm_backend=mLSTMBackendConfig(chunkwise_kernel='chunkwise--native_autograd',
                                                          sequence_kernel='native_sequence__native',
                                                          step_kernel='native',
                                                          mode='inference',
                                                          chunk_size=64,
                                                          return_last_states=True,
                                                          autocast_kernel_dtype='bfloat16',
                                                          eps=1e-06,
                                                          inference_state_dtype='float32'),
                         weight_mode='single')
        """;

    private static readonly XlstmConfig Xlstm7B = new() { EmbeddingDim = 4096, NumBlocks = 32, NumHeads = 8, VocabSize = 50304 };

    [Fact]
    public void TheConfigOfXlstm7BPrintsAsTheOfficialStackPrintsIt()
    {
        var raw = Parse("""
            {
              "embedding_dim": 4096, "num_heads": 8, "num_blocks": 32, "vocab_size": 50304, "use_bias": false, "norm_eps": 1e-6,
              "norm_reduction_force_float32": true, "qk_dim_factor": 0.5, "v_dim_factor": 1.0, "gate_soft_cap": 15.0,
              "chunkwise_kernel": "chunkwise--native_autograd", "sequence_kernel": "native_sequence__native", "step_kernel": "native",
              "mode": "inference", "chunk_size": 64, "return_last_states": true, "autocast_kernel_dtype": "bfloat16", "eps": 1e-6,
              "inference_state_dtype": "float32", "weight_mode": "single"
            }
            """);
        Assert.Equal(Official, ConfigBlock.Format(Xlstm7B, raw));
    }

    [Fact]
    public void KeysLeftOutShowTheirDefaults() => Assert.Equal(Official, ConfigBlock.Format(Xlstm7B, Parse("{}")));

    [Fact]
    public void OtherValuesAreShownAsTheyAre()
    {
        var raw = Parse("""{ "gate_soft_cap": null, "norm_eps": 0.00001, "chunkwise_kernel": "chunkwise--triton_xl_chunk", "mode": "train", "weight_mode": "fused" }""");
        string block = ConfigBlock.Format(Xlstm7B, raw);
        foreach (string line in (string[])["gate_soft_cap=None,", "norm_eps=1e-05,", "chunkwise_kernel='chunkwise--triton_xl_chunk',", "mode='train',", "weight_mode='fused')"])
        {
            Assert.Contains(line, block, StringComparison.Ordinal);
        }
    }

    // Values of Python 3.13's repr().
    [Theory]
    [InlineData("1e-6", "1e-06")]
    [InlineData("0.000001", "1e-06")]
    [InlineData("1.5e-7", "1.5e-07")]
    [InlineData("0.0001", "0.0001")]
    [InlineData("0.00012345", "0.00012345")]
    [InlineData("0.00001", "1e-05")]
    [InlineData("2.667", "2.667")]
    [InlineData("-0.5", "-0.5")]
    [InlineData("0.0", "0.0")]
    [InlineData("15.0", "15.0")]
    [InlineData("15", "15")]
    [InlineData("1e2", "100.0")]
    [InlineData("1e15", "1000000000000000.0")]
    [InlineData("1e16", "1e+16")]
    [InlineData("1.25e22", "1.25e+22")]
    [InlineData("123456789.125", "123456789.125")]
    [InlineData("1e-300", "1e-300")]
    [InlineData("true", "True")]
    [InlineData("null", "None")]
    [InlineData("\"it's\"", "\"it's\"")]
    [InlineData("\"a\\nb\\\\\"", "'a\\nb\\\\'")]
    [InlineData("[1, 2.0, \"x\"]", "[1, 2.0, 'x']")]
    public void ValuesPrintAsPythonPrintsThem(string json, string repr)
    {
        using var document = JsonDocument.Parse(json);
        Assert.Equal(repr, PythonRepr.Of(document.RootElement));
    }

    private static Dictionary<string, JsonElement> Parse(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.Clone());
    }
}
