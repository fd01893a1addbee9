using Xlstm.Backends.Cuda;
using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests.Cuda;

/// <summary>Risk: a GPU's speed is held against a ceiling that is not its own, or counts bytes that no step moves. Speed itself is not tested.</summary>
public class CudaSpeedTests
{
    private static readonly XlstmConfig Config = new() { EmbeddingDim = 64, NumBlocks = 2, NumHeads = 2, VocabSize = 96 };

    [Fact]
    public void TheBandwidthIsThatOfACopy()
    {
        _ = Gpu.Device;
        using XlstmModel model = Load(Config);
        MemoryBandwidth bandwidth = MemoryBandwidth.Measure(model, 64 << 20)!;
        Assert.True(model.OnGpu);
        Assert.Equal(64 << 20, bandwidth.BufferBytes);
        Assert.InRange(bandwidth.Median, 1e9, bandwidth.Best); // 1 TB/s taken for 1 GB/s, or for 1 PB/s, would show
        Assert.InRange(bandwidth.Best, 1e10, 1e14);
    }

    [Fact]
    public void ABufferThatDoesNotFitIsMadeSmaller()
    {
        using var context = new CudaContext(Gpu.Device);
        Assert.InRange(DeviceCopy.Measure(context, long.MaxValue).BufferBytes, 1, context.Device.MemoryBytes / 4);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void CountsAreThoseOfTheModel(bool tied)
    {
        _ = Gpu.Device;
        using XlstmModel model = Load(Config with { TieWordEmbeddings = tied });
        using var benchmark = new SpeedBenchmark(model);
        SpeedResult result = benchmark.Run(new SpeedTest(SpeedTestKind.Generation, 3, Depth: 2, Batch: 2), 2, TestContext.Current.CancellationToken);
        Assert.Equal(3 * (model.WeightBytes - (tied ? 0 : 96 * 64 * sizeof(float))), result.WeightBytes);
        Assert.Equal(3 * 2 * 2 * (model.StateBytes - (96 * sizeof(float))), result.StateBytes);
    }

    private static XlstmModel Load(XlstmConfig config)
    {
        using Checkpoint checkpoint = Synthesizer.Open(config);
        return XlstmModel.Load(checkpoint, new LoadOptions { Weights = WeightFormat.Float32, Device = "cuda" });
    }
}
