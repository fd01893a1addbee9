using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests.Checkpoints;

public class SynthesizerTests
{
    private static readonly XlstmConfig Small = new() { EmbeddingDim = 64, NumBlocks = 3, NumHeads = 4, VocabSize = 301 };

    [Theory]
    [InlineData(ElementType.Float32, 1)]
    [InlineData(ElementType.BFloat16, 6)]
    [InlineData(ElementType.Float16, 48)]
    public void WrittenCheckpointOpensAndIsTheOneInMemory(ElementType type, int shards)
    {
        using var folder = new TemporaryFolder();
        var options = new SynthesisOptions { Type = type, Shards = shards, Seed = 7 };
        var reports = new List<SynthesisProgress>();
        Synthesizer.Write(folder.File("model"), Small, options, new ListProgress(reports));
        using var written = Checkpoint.Open(folder.File("model"));
        using var computed = Synthesizer.Open(Small, options);
        Assert.Equal(Small, written.Config);
        Assert.Equal(shards, written.Shards.Count);
        Assert.All(written.Shards, shard => Assert.True(shard.TensorBytes > 0));
        Assert.Equal(CheckpointContent.Digest(written), CheckpointContent.Digest(computed));
        Assert.Equal(written.RawConfig.Keys, computed.RawConfig.Keys);
        Assert.Equal(shards > 1, File.Exists(Path.Combine(written.Folder, "model.safetensors.index.json")));

        long bytes = Small.ParameterCount * (type == ElementType.Float32 ? 4 : 2);
        Assert.Equal(bytes, written.Shards.Sum(shard => shard.TensorBytes));
        Assert.Equal(new SynthesisProgress(shards, shards, bytes, bytes), reports[^1]);
        Assert.Equal(reports.OrderBy(r => (r.BytesDone, r.ShardsDone)), reports);
        Assert.Equal([written.Folder], Directory.GetFileSystemEntries(folder.Path));
    }

    /// <summary>Risk: row ranges of the fused tensors filled with the wrong role's values; the model must not depend on the layout.</summary>
    [Fact]
    public void FusedHoldsTheSameModel()
    {
        var options = new SynthesisOptions { Seed = 3 };
        XlstmConfig biased = Small with { UseBias = true };
        using var single = Synthesizer.Open(biased, options);
        using var folder = new TemporaryFolder();
        Synthesizer.Write(folder.File("fused"), biased with { WeightMode = WeightMode.Fused }, options);
        using var fused = Checkpoint.Open(folder.File("fused"));
        Assert.Equal(WeightMode.Fused, fused.Config.WeightMode);
        Assert.Empty(fused.Warnings);
        Assert.Equal(CheckpointContent.Digest(single), CheckpointContent.Digest(fused));
    }

    [Fact]
    public void TiedModelHasNoLmHead()
    {
        using var checkpoint = Synthesizer.Open(Small with { TieWordEmbeddings = true, AddOutNorm = false });
        Assert.Null(checkpoint.LmHead);
        Assert.Null(checkpoint.OutNorm);
    }

    [Fact]
    public void ValuesAreThoseTrainingStartsFrom()
    {
        using var checkpoint = Synthesizer.Open(Small with { VocabSize = 5000 });
        BlockTensors block = checkpoint.Blocks[2];
        Assert.All(Floats(block.NormMlstm), value => Assert.Equal(1, value));
        Assert.All(Floats(block.MultiheadNorm), value => Assert.Equal(1, value));
        Assert.All(Floats(block.IGatePreact), value => Assert.Equal(0, value));
        Assert.Equal([-10f, -10f, -10f, -10f], Floats(block.IGatePreactBias));
        Assert.Equal([3f, 4f, 5f, 6f], Floats(block.FGatePreactBias));
        AssertNormal(Floats(checkpoint.Embeddings), Math.Sqrt(2.0 / (5 * 64)));
        AssertNormal(Floats(block.ProjUp), Math.Sqrt(2.0 / (5 * 64)));
        AssertNormal(Floats(block.ProjDown), 2.0 / 3 / Math.Sqrt(Small.FfnDim));
        AssertNormal(Floats(block.OutProj), 2.0 / 3 / Math.Sqrt(64));
        Assert.NotEqual(Floats(block.Q), Floats(block.K));
        Assert.NotEqual(Floats(block.Q), Floats(checkpoint.Blocks[1].Q));
        using var otherSeed = Synthesizer.Open(Small, new SynthesisOptions { Seed = 1 });
        Assert.NotEqual(Floats(block.Q), Floats(otherSeed.Blocks[2].Q));
    }

    /// <summary>Risk: a seed that means another model after a change of the generator, or on another machine.</summary>
    [Fact]
    public void SeedMeansTheSameModelForEver()
    {
        using var checkpoint = Synthesizer.Open(Small, new SynthesisOptions { Seed = 42 });
        byte[] bytes = [.. CheckpointContent.Bytes(checkpoint.Embeddings), .. CheckpointContent.Bytes(checkpoint.Blocks[1].ProjDown)];
        Assert.Equal("5F016D243D74B3B36E33705488705ACD", Convert.ToHexString(SHA256.HashData(bytes))[..32]);
    }

    [Fact]
    public void RowsDoNotDependOnHowTheyAreRead()
    {
        using var checkpoint = Synthesizer.Open(Small with { VocabSize = 3000 });
        float[] whole = Floats(checkpoint.Embeddings);
        byte[] rows = new byte[17 * 64 * 4];
        checkpoint.Embeddings.ReadRows(1501, 17, rows);
        Assert.Equal(whole[(1501 * 64)..(1518 * 64)], MemoryMarshal.Cast<byte, float>(rows).ToArray());
        Assert.Throws<ArgumentOutOfRangeException>(() => checkpoint.Embeddings.ReadRows(2990, 11, rows));
        Assert.Throws<ArgumentOutOfRangeException>(() => checkpoint.Embeddings.ReadRows(0, 18, rows));
    }

    [Fact]
    public void FolderWithContentIsRefused()
    {
        using var folder = new TemporaryFolder();
        folder.Write("precious", "x");
        AssertRefused(folder.Path, Small, 1, "is not empty");
        AssertRefused(folder.File("precious"), Small, 1, "is a file");
        AssertRefused(folder.File("none/model"), Small, 1, "there is no folder");
        AssertRefused(folder.File("model"), Small, 0, "shards is 0");
        AssertRefused(folder.File("model"), Small, 49, "shards is 49, expected 1 to 48");
        AssertRefused(folder.File("model"), Small with { NumHeads = 3 }, 1, "num_heads 3 does not divide");
        Assert.Contains("GB are free there", Assert.Throws<XlstmException>(() => NewFolder.Create(folder.File("model"), long.MaxValue)).Message, StringComparison.Ordinal);
        Assert.Equal([folder.File("precious")], Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void EmptyFolderIsFilled()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.File("model"));
        Synthesizer.Write(folder.File("model") + Path.DirectorySeparatorChar, Small);
        Checkpoint.Open(folder.File("model")).Dispose();
    }

    [Fact]
    public void CancellingLeavesNothing()
    {
        using var folder = new TemporaryFolder();
        using var cancellation = new CancellationTokenSource();
        var progress = new ActionProgress(cancellation.Cancel);
        Assert.ThrowsAny<OperationCanceledException>(() => Synthesizer.Write(folder.File("model"), Small, new SynthesisOptions { Shards = 3 }, progress, cancellation.Token));
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    [Theory]
    [InlineData("160m", 100_000_000, 200_000_000)]
    [InlineData("400M", 350_000_000, 450_000_000)]
    [InlineData("1.4b", 1_300_000_000, 1_500_000_000)]
    [InlineData("xLSTM-7B", 6_865_424_896, 6_865_424_896)]
    public void KnownSizesAreOfTheirSize(string name, long least, long most)
    {
        XlstmConfig config = KnownSizes.Resolve(name);
        ConfigLimits.Check(config, name);
        Assert.InRange(config.ParameterCount, least, most);
    }

    [Fact]
    public void SizesResolveFromConfigsToo()
    {
        string folder = Fixture.Reference("tiny-single");
        Assert.Equal(160, KnownSizes.Resolve(folder).VocabSize);
        Assert.Equal(160, KnownSizes.Resolve(Path.Combine(folder, "config.json")).VocabSize);
        Assert.Contains("160m, 400m, 1.4b, xlstm-7b", Assert.Throws<CheckpointException>(() => KnownSizes.Resolve("9b")).Message, StringComparison.Ordinal);
    }

    private static void AssertRefused(string folder, XlstmConfig config, int shards, string expected)
    {
        var e = Assert.ThrowsAny<XlstmException>(() => Synthesizer.Write(folder, config, new SynthesisOptions { Shards = shards }));
        Assert.Contains(expected, e.Message, StringComparison.Ordinal);
    }

    private static void AssertNormal(float[] values, double deviation)
    {
        double mean = values.Average(v => (double)v);
        double variance = values.Average(v => (v - mean) * (v - mean));
        double kurtosis = values.Average(v => Math.Pow((v - mean) / deviation, 4));
        double share = values.Count(v => Math.Abs(v) < deviation) / (double)values.Length;
        double error = 6 / Math.Sqrt(values.Length);
        Assert.InRange(mean / deviation, -error, error);
        Assert.InRange(Math.Sqrt(variance) / deviation, 1 - error, 1 + error);
        Assert.InRange(kurtosis, 2.85 - (5 * error), 2.85 + (5 * error));
        Assert.InRange(share, 0.683 - error, 0.683 + error);
    }

    private static float[] Floats(CheckpointTensor tensor) => MemoryMarshal.Cast<byte, float>(CheckpointContent.Bytes(tensor)).ToArray();

    private sealed class ListProgress(List<SynthesisProgress> reports) : IProgress<SynthesisProgress>
    {
        public void Report(SynthesisProgress value) => reports.Add(value);
    }

    private sealed class ActionProgress(Action action) : IProgress<SynthesisProgress>
    {
        public void Report(SynthesisProgress value) => action();
    }
}
