using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests.Evaluation;

/// <summary>Risk: a benchmark that counts bytes, products or tokens wrong reports a speed that nobody can reach, or hides a slow one. Speed itself is not tested.</summary>
public class SpeedBenchmarkTests
{
    private static readonly XlstmConfig Config = new() { EmbeddingDim = 64, NumBlocks = 2, NumHeads = 2, VocabSize = 96 };

    [Fact]
    public void AModelOfAnOpenedCheckpointNeedsNoFolder()
    {
        using Checkpoint checkpoint = Synthesizer.Open(Config, new SynthesisOptions { Seed = 3 });
        using XlstmModel model = XlstmModel.Load(checkpoint, new LoadOptions { Weights = WeightFormat.Float32 });
        using var folder = new TemporaryFolder();
        string written = Path.Combine(folder.Path, "model");
        Synthesizer.Write(written, Config, new SynthesisOptions { Seed = 3 });
        using XlstmModel same = XlstmModel.Load(written, new LoadOptions { Weights = WeightFormat.Float32 });
        using Session session = model.CreateSession(), other = same.CreateSession();
        session.Append([0, 5, 9]);
        other.Append([0, 5, 9]);
        Assert.Equal(other.Logits.ToArray(), session.Logits.ToArray());
        Assert.Null(model.Tokenizer);
    }

    [Fact]
    public void CountsAreThoseOfTheModel()
    {
        using XlstmModel model = Load(Config, WeightFormat.Float32);
        using var benchmark = new SpeedBenchmark(model);
        SpeedResult generation = benchmark.Run(new SpeedTest(SpeedTestKind.Generation, 3, Depth: 2, Batch: 2), 2, TestContext.Current.CancellationToken);
        Assert.Equal(2, generation.Seconds.Count);
        Assert.Equal(6, generation.Tokens);

        // Three steps, each reading the weights but the embedding once and both states twice.
        Assert.Equal(3 * (model.WeightBytes - (96 * 64 * sizeof(float))), generation.WeightBytes);
        Assert.Equal(3 * 2 * 2 * model.StateBytes, generation.StateBytes);
        long matrices = Config.ParameterCount - (96 * 64) - 64 - (2 * ((2 * 64) + 64 + (2 * 2)));
        Assert.Equal(3 * 2 * matrices, generation.Products);

        SpeedResult prompt = benchmark.Run(new SpeedTest(SpeedTestKind.Prompt, 700, Depth: 1), 1, TestContext.Current.CancellationToken);
        Assert.Equal((700 * (matrices - (96 * 64))) + (96 * 64), prompt.Products);
        Assert.Null(prompt.WeightBytesPerSecond);
    }

    [Fact]
    public void ATiedEmbeddingIsReadAsLmHead()
    {
        using XlstmModel model = Load(Config with { TieWordEmbeddings = true }, WeightFormat.Int8);
        using var benchmark = new SpeedBenchmark(model);
        Assert.Equal(model.WeightBytes, benchmark.Run(new SpeedTest(SpeedTestKind.Generation, 1), 1, TestContext.Current.CancellationToken).WeightBytes);
    }

    [Fact]
    public void StatisticsAreThoseOfTheRates()
    {
        var result = new SpeedResult { Test = new SpeedTest(SpeedTestKind.Generation, 8), Seconds = [1, 2, 4, 8], WeightBytes = 80, StateBytes = 16, Products = 8 };
        Assert.Equal(3.75, result.TokensPerSecond);
        Assert.Equal(3, result.MedianTokensPerSecond);
        Assert.Equal(3.095696, result.Deviation, 1e-6);
        Assert.Equal((30.0, 6.0, 3.0), (result.WeightBytesPerSecond, result.StateBytesPerSecond, result.ProductsPerSecond));
        Assert.Equal("tg8", result.Test.Name);
    }

    [Fact]
    public void ATestThatCannotRunIsRefused()
    {
        using XlstmModel model = Load(Config, WeightFormat.BFloat16);
        using var benchmark = new SpeedBenchmark(model);
        Assert.Throws<XlstmException>(() => benchmark.Run(new SpeedTest(SpeedTestKind.Generation, 0), 1));
        Assert.Throws<XlstmException>(() => benchmark.Run(new SpeedTest(SpeedTestKind.Generation, 1, Batch: 100_000), 1));
        Assert.Throws<OperationCanceledException>(() => benchmark.Run(new SpeedTest(SpeedTestKind.Generation, 1), 1, new CancellationToken(canceled: true)));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void TheBandwidthIsThatOfTheWholeBuffer(int threads)
    {
        MemoryBandwidth bandwidth = MemoryBandwidth.Measure(threads, 1);
        Assert.InRange(bandwidth.BufferBytes, 1 << 20, 64 << 20);
        Assert.InRange(bandwidth.Median, 1e6, bandwidth.Best);
    }

    [Fact]
    public void AModelsMemoryOnTheCpuIsRead()
    {
        using XlstmModel model = Load(Config, WeightFormat.Int4);
        Assert.False(model.OnGpu);
        MemoryBandwidth bandwidth = MemoryBandwidth.Measure(model, 1)!;
        Assert.InRange(bandwidth.BufferBytes, 1 << 20, 64 << 20);
        Assert.InRange(bandwidth.Median, 1e6, bandwidth.Best);
        Assert.Throws<ArgumentOutOfRangeException>(() => MemoryBandwidth.Measure(model, 0));
    }

    private static XlstmModel Load(XlstmConfig config, WeightFormat format)
    {
        using Checkpoint checkpoint = Synthesizer.Open(config);
        return XlstmModel.Load(checkpoint, new LoadOptions { Weights = format });
    }
}
