using Xlstm.Backends;
using Xlstm.Backends.Cpu;
using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;
using Xunit;

namespace Xlstm.Tests.Calibration;

/// <summary>Risk: calibration touches what is not int4, depends on threads, takes another way through a block than the model does, or leaves something behind.</summary>
public class ModelCalibratorTests
{
    [Theory]
    [MemberData(nameof(TestData.References), MemberType = typeof(TestData))]
    public void OnlyInt4MatricesChange(string name)
    {
        using var folder = new TemporaryFolder();
        using Checkpoint original = Checkpoint.Open(TestData.Reference(name));
        int[] ids = Golden.Load(name).InputIds;
        foreach (bool mix in new[] { false, true })
        {
            byte[] plain = Pack(original, folder.File($"plain-{mix}"), null, mix), calibrated = Pack(original, folder.File($"calibrated-{mix}"), ids, mix);
            Assert.Equal(plain.Length, calibrated.Length);
            using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder.File($"plain-{mix}"), PackedFile.FileName));
            var layout = new PackedLayout(original.Config, new WeightRecipe(WeightFormat.Int4, mix));
            foreach (PackedTensor tensor in layout.Tensors)
            {
                int offset = (int)file.Tensors[tensor.Name].Offset, length = (int)tensor.ByteLength;
                bool same = plain.AsSpan(offset, length).SequenceEqual(calibrated.AsSpan(offset, length));
                Assert.True(same == (tensor.IsVector || tensor.Format != WeightFormat.Int4), $"{tensor.Name} ({tensor.Format}) {(same ? "is unchanged" : "has changed")}");
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(513)]
    [InlineData(700)]
    public void ThreadsChangeNothing(int tokens)
    {
        using var folder = new TemporaryFolder();
        using Checkpoint original = Checkpoint.Open(TestData.Reference("tiny-wide-bf16"));
        int[] ids = [.. Enumerable.Range(0, tokens + 1).Select(i => i * 7919 % original.Config.VocabSize)];
        Assert.Equal(Pack(original, folder.File("one"), ids, threads: 1), Pack(original, folder.File("three"), ids, threads: 3));
    }

    [Fact]
    public void ABlockByItselfIsTheModelsBlock()
    {
        // One block after the other, on chunks, must leave the residual stream that the whole model computes: the logits are then
        // those of lm_head over it. A model of no more than its blocks' outputs shows every difference.
        using Checkpoint checkpoint = Checkpoint.Open(TestData.Reference("tiny-single"));
        XlstmConfig config = checkpoint.Config;
        int[] ids = Golden.Load("tiny-single").InputIds;
        var layout = new PackedLayout(config, WeightFormat.Float32);
        using var weights = new CpuWeights(layout, PackedLoader.Load(checkpoint, layout, 1, null, CancellationToken.None));
        using var pool = new WorkerPool(2);
        using var pass = new ForwardPass(weights, pool, CpuInstructionSets.Best);
        using var whole = new CpuState(config);
        using var parts = new CpuState(config);
        var logits = new float[ids.Length * config.VocabSize];
        pass.Run([new BatchItem(whole, ids, Output.AllLogits, logits)]);

        var stream = new float[ids.Length * config.EmbeddingDim];
        for (int t = 0; t < ids.Length; t++)
        {
            weights.Embeddings.GetRow(ids[t], stream.AsSpan(t * config.EmbeddingDim, config.EmbeddingDim));
        }

        for (int block = 0; block < config.NumBlocks; block++)
        {
            foreach (int split in new[] { 0, 37, 38 })
            {
                int end = split switch { 0 => 37, 37 => 38, _ => ids.Length };
                pass.RunBlock(block, parts, stream.AsSpan(split * config.EmbeddingDim, (end - split) * config.EmbeddingDim), capture: null);
            }
        }

        var (expected, found) = (new float[RecurrentState.FloatCount(config)], new float[RecurrentState.FloatCount(config)]);
        int length = expected.Length / config.NumBlocks;
        for (int block = 0; block < config.NumBlocks; block++)
        {
            whole.CopyBlockTo(block, expected.AsSpan(block * length, length));
            parts.CopyBlockTo(block, found.AsSpan(block * length, length));
        }

        Assert.Equal(expected, found);
    }

    [Fact]
    public void CancellationAndABadWeightLeaveNothing()
    {
        using var folder = new TemporaryFolder();
        using Checkpoint original = Checkpoint.Open(TestData.Reference("tiny-single"));
        int[] ids = Golden.Load("tiny-single").InputIds;
        using var source = new CancellationTokenSource();
        var progress = new Stop(source);
        Assert.ThrowsAny<OperationCanceledException>(() =>
            ModelPacker.Pack(original, folder.File("stopped"), new PackOptions { Weights = WeightFormat.Int4, CalibrationIds = ids }, progress, source.Token));
        Assert.InRange(progress.Last.BytesDone, 1, progress.Last.Bytes - 1);

        using TemporaryFolder broken = TemporaryFolder.CopyOf("tiny-single");
        string file = broken.File("model-00002-of-00002.safetensors");
        long offset;
        using (SafetensorsFile header = SafetensorsFile.Open(file))
        {
            offset = header.Tensors["backbone.blocks.1.ffn.proj_down.weight"].Offset;
        }

        byte[] bytes = File.ReadAllBytes(file);
        BitConverter.TryWriteBytes(bytes.AsSpan((int)offset), float.NaN);
        File.WriteAllBytes(file, bytes);
        using Checkpoint bad = Checkpoint.Open(broken.Path);
        CheckpointException e = Assert.Throws<CheckpointException>(() =>
            ModelPacker.Pack(bad, folder.File("broken"), new PackOptions { Weights = WeightFormat.Int4, CalibrationIds = ids }));
        Assert.Contains("blocks.1.ffn.proj_down.weight has at row 0, column 0 the value NaN; weights must be finite numbers", e.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    [Theory]
    [InlineData(new[] { 0 }, "calibration needs at least 2 tokens, found 1")]
    [InlineData(new[] { 0, -1 }, "calibration token id -1 is not in the vocabulary")]
    public void BadTokensAreRefused(int[] ids, string message)
    {
        using var folder = new TemporaryFolder();
        using Checkpoint original = Checkpoint.Open(TestData.Reference("tiny-single"));
        XlstmException e = Assert.Throws<XlstmException>(() => ModelPacker.Pack(original, folder.File("x"), new PackOptions { Weights = WeightFormat.Int4, CalibrationIds = ids }));
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    private static byte[] Pack(Checkpoint checkpoint, string folder, int[]? ids, bool mix = false, int? threads = null)
    {
        var options = new PackOptions { Weights = WeightFormat.Int4, Mix = mix, CalibrationIds = ids, Threads = threads };
        ModelPacker.Pack(checkpoint, folder, options, cancellationToken: TestContext.Current.CancellationToken);
        return File.ReadAllBytes(Path.Combine(folder, PackedFile.FileName));
    }

    /// <summary>Cancels once half of the bytes are done.</summary>
    private sealed class Stop(CancellationTokenSource source) : IProgress<LoadProgress>
    {
        public LoadProgress Last { get; private set; }

        public void Report(LoadProgress value)
        {
            Last = value;
            if (2 * value.BytesDone > value.Bytes)
            {
                source.Cancel();
            }
        }
    }
}
