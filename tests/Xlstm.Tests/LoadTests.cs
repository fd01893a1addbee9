using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests;

/// <summary>What a load tells and refuses before it takes memory, and what it reports on the way.</summary>
public class LoadTests
{
    [Fact]
    public void AModelThatDoesNotFitIsRefusedBeforeAnythingIsRead()
    {
        var huge = new XlstmConfig { EmbeddingDim = 4096, NumBlocks = 4000, NumHeads = 8, VocabSize = 50304 };
        using Checkpoint checkpoint = Synthesizer.Open(huge);
        XlstmException e = Assert.Throws<XlstmException>(() => XlstmModel.Load(checkpoint, new LoadOptions { Weights = WeightFormat.BFloat16 }));
        Assert.Matches(@"needs 1\d{3}\.\d GB of memory with bfloat16 weights, but \d+\.\d GB are available: ", e.Message);
    }

    [Fact]
    public void ProgressGoesThroughEveryShardAndByte()
    {
        var seen = new List<LoadProgress>();
        using XlstmModel model = XlstmModel.Load(TestData.DemoModel, null, new Collector(seen), TestContext.Current.CancellationToken);
        Assert.Equal(seen.Select(p => p.BytesDone).Order(), seen.Select(p => p.BytesDone));
        Assert.Equal(seen.Select(p => p.ShardsDone).Order(), seen.Select(p => p.ShardsDone));
        Assert.Equal(new LoadProgress(6, 6, 20307616, 20307616), seen[^1]);
    }

    [Fact]
    public void ACancelledLoadEnds()
    {
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => XlstmModel.Load(TestData.DemoModel, null, null, stop.Token));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(100_000)]
    public void AnAbsurdNumberOfThreadsIsRefused(int threads) =>
        Assert.Throws<XlstmException>(() => XlstmModel.Load(TestData.DemoModel, new LoadOptions { Threads = threads }));

    [Theory]
    [InlineData(float.NaN, WeightFormat.Float32, "NaN; weights must be finite numbers")]
    [InlineData(float.NegativeInfinity, WeightFormat.BFloat16, "-Infinity; weights must be finite numbers")]
    [InlineData(3.4e38f, WeightFormat.BFloat16, "3.4E+38, which bfloat16 cannot hold")]
    public void AWeightThatIsNoNumberIsNamed(float value, WeightFormat format, string found)
    {
        using var folder = new TemporaryFolder();
        foreach (string file in Directory.EnumerateFiles(TestData.Reference("tiny-fused-bias")))
        {
            File.Copy(file, Path.Combine(folder.Path, Path.GetFileName(file)));
        }

        string path = Path.Combine(folder.Path, "model.safetensors");
        long offset;
        using (SafetensorsFile file = SafetensorsFile.Open(path))
        {
            offset = file.Tensors["backbone.blocks.1.ffn.proj_down.weight"].Offset;
        }

        using (var stream = new FileStream(path, FileMode.Open))
        {
            stream.Position = offset + (sizeof(float) * ((3 * 128) + 5));
            stream.Write(BitConverter.GetBytes(value));
        }

        CheckpointException e = Assert.Throws<CheckpointException>(() => XlstmModel.Load(folder.Path, new LoadOptions { Weights = format }));
        Assert.StartsWith($"{path}: tensor backbone.blocks.1.ffn.proj_down.weight has at row 3, column 5 the value {found}", e.Message, StringComparison.Ordinal);
    }

    private sealed class Collector(List<LoadProgress> seen) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value) => seen.Add(value);
    }
}
