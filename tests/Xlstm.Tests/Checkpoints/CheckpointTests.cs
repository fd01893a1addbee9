using System.Runtime.InteropServices;
using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests.Checkpoints;

public class CheckpointTests
{
    [Theory]
    [InlineData("tiny-single", 2, 64, 3, WeightMode.Single, false, ElementType.Float32)]
    [InlineData("tiny-fused-bias", 1, 64, 2, WeightMode.Fused, true, ElementType.Float32)]
    [InlineData("tiny-wide-bf16", 1, 96, 2, WeightMode.Single, false, ElementType.BFloat16)]
    public void OpensEveryReference(string name, int shards, int d, int blocks, WeightMode mode, bool bias, ElementType type)
    {
        using var checkpoint = Checkpoint.Open(Fixture.Reference(name));
        Assert.Empty(checkpoint.Warnings);
        Assert.Equal((shards, d, blocks), (checkpoint.Shards.Count, checkpoint.Config.EmbeddingDim, checkpoint.Blocks.Count));
        Assert.Equal((mode, bias), (checkpoint.Config.WeightMode, checkpoint.Config.UseBias));
        Assert.Equal((checkpoint.Config.VocabSize, d, type), (checkpoint.Embeddings.Rows, checkpoint.Embeddings.Cols, checkpoint.Embeddings.ElementType));
        Assert.Equal(bias, checkpoint.Blocks[1].QBias is not null);
        Assert.Equal((1, checkpoint.Config.NumHeads), (checkpoint.Blocks[0].IGatePreactBias.Rows, checkpoint.Blocks[0].IGatePreactBias.Cols));
        Assert.Equal((d, checkpoint.Config.FfnDim), (checkpoint.Blocks[0].ProjDown.Rows, checkpoint.Blocks[0].ProjDown.Cols));
        Assert.NotNull(checkpoint.LmHead);
        Assert.Equal(checkpoint.Config.ParameterCount * checkpoint.Embeddings.ElementSize, checkpoint.Shards.Sum(s => s.TensorBytes));
    }

    /// <summary>Risk: slices of fused tensors off by a row, or biases cut as if they were matrices.</summary>
    [Fact]
    public void FusedTensorsAppearAsRowRanges()
    {
        string folder = Fixture.Reference("tiny-fused-bias");
        using var checkpoint = Checkpoint.Open(folder);
        using var file = SafetensorsFile.Open(Path.Combine(folder, "model.safetensors"));
        BlockTensors block = checkpoint.Blocks[1];
        const string Prefix = "backbone.blocks.1.mlstm_layer.";
        AssertStacked(file, Prefix + "qkv_opreact.weight", block.Q, block.K, block.V, block.OGatePreact);
        AssertStacked(file, Prefix + "qkv_opreact.bias", block.QBias!, block.KBias!, block.VBias!, block.OGatePreactBias!);
        AssertStacked(file, Prefix + "ifgate_preact.weight", block.IGatePreact, block.FGatePreact);
        AssertStacked(file, Prefix + "ifgate_preact.bias", block.IGatePreactBias, block.FGatePreactBias);
        AssertStacked(file, "backbone.blocks.1.ffn.proj_up_gate_z.weight", block.ProjUpGate, block.ProjUp);
    }

    private static void AssertStacked(SafetensorsFile file, string name, params CheckpointTensor[] parts)
    {
        SafetensorsTensor tensor = file.Tensors[name];
        byte[] whole = new byte[tensor.ByteLength];
        file.Read(tensor, 0, whole);
        var stacked = new List<byte>();
        foreach (CheckpointTensor part in parts)
        {
            byte[] rows = new byte[part.Cols * part.ElementSize];
            for (int row = 0; row < part.Rows; row++)
            {
                part.ReadRows(row, 1, rows);
                stacked.AddRange(rows);
            }
        }

        Assert.Equal(MemoryMarshal.Cast<byte, float>(whole).ToArray(), MemoryMarshal.Cast<byte, float>(CollectionsMarshal.AsSpan(stacked)).ToArray());
    }
}
