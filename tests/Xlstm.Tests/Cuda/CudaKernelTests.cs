using Xlstm.Backends;
using Xlstm.Backends.Cpu;
using Xlstm.Backends.Cuda;
using Xlstm.Tests.Reference;
using Xunit;

namespace Xlstm.Tests.Cuda;

/// <summary>
/// The kernels of large models, each started at the smallest sizes that reach it: short enough to run under compute-sanitizer's racecheck,
/// a format of weights at a time.
/// </summary>
[Collection(GpuTests.Name)]
public class CudaKernelTests
{
    [Fact]
    public void Float32WeightsReachEveryKernel() => Run(WeightFormat.Float32, 1e-3);

    [Fact]
    public void BFloat16WeightsReachEveryKernel() => Run(WeightFormat.BFloat16, 3e-2);

    [Fact]
    public void Int8WeightsReachEveryKernel() => Run(WeightFormat.Int8, 0.1); // the CPU rounds other inputs to 8 bits

    [Fact]
    public void Int4WeightsReachEveryKernel() => Run(WeightFormat.Int4, 0.1);

    /// <summary>A step's out_proj, where a warp has whole heads: 1, 2 or 4 vectors a thread, most warps without any.</summary>
    [Theory]
    [InlineData(WeightFormat.BFloat16, 1e-3)]
    [InlineData(WeightFormat.Int8, 0.1)]
    [InlineData(WeightFormat.Int4, 0.1)]
    public void AStepTakesHeadsOfSeveralVectors(WeightFormat format, double tolerance)
    {
        _ = Gpu.Device;
        foreach (int heads in (int[])[1, 2, 4])
        {
            var random = new Random(heads);
            var config = new XlstmConfig { EmbeddingDim = 1024, NumBlocks = 1, NumHeads = heads, VocabSize = 100 };
            RandomModel model = RandomModels.Create(random, config, "BF16");
            using var folder = new TemporaryFolder();
            RandomModels.WriteCheckpoint(folder.Path, model, new CheckpointLayout("BF16"));
            int[] ids = model.RandomIds(random, 1);
            using CpuBackend cpu = Gpu.LoadCpu(folder.Path, format);
            using CudaBackend gpu = Gpu.Load(folder.Path, format);
            double error = Gpu.RelativeError(Gpu.Feed(cpu, config, ids, 1).Logits, Gpu.Feed(gpu, config, ids, 1).Logits);
            Gpu.Write($"{format}, {heads} heads: relative error of logits {error:e1}");
            Assert.InRange(error, 0, tolerance);
        }
    }

    /// <summary>Risk: few multiprocessors share more of n and m than they have threads, and the rest stays as it was. Here that is so on the emulated GPU.</summary>
    [Fact]
    public void AStepPutsInAllOfNAndM()
    {
        _ = Gpu.Device;
        var random = new Random(3);
        var config = new XlstmConfig { EmbeddingDim = 2048, NumBlocks = 1, NumHeads = 8, VocabSize = 50, FfnProjFactor = 0.1 };
        RandomModel model = RandomModels.Create(random, config, "BF16");
        using var folder = new TemporaryFolder();
        RandomModels.WriteCheckpoint(folder.Path, model, new CheckpointLayout("BF16"));
        int[] ids = model.RandomIds(random, 1);
        using CpuBackend cpu = Gpu.LoadCpu(folder.Path, WeightFormat.BFloat16);
        using CudaBackend gpu = Gpu.Load(folder.Path, WeightFormat.BFloat16);
        Assert.InRange(Gpu.RelativeError(Gpu.Feed(cpu, config, ids, 1).State, Gpu.Feed(gpu, config, ids, 1).State), 0, 1e-4);
    }

    private static void Run(WeightFormat format, double tolerance)
    {
        _ = Gpu.Device;
        var random = new Random(7);
        var config = new XlstmConfig { EmbeddingDim = 512, NumBlocks = 1, NumHeads = 2, VocabSize = 200 };
        RandomModel model = RandomModels.Create(random, config, "BF16");
        using var folder = new TemporaryFolder();
        RandomModels.WriteCheckpoint(folder.Path, model, new CheckpointLayout("BF16"));
        int[] ids = model.RandomIds(random, 139);
        using CpuBackend cpu = Gpu.LoadCpu(folder.Path, format);
        float[] expected = Gpu.Feed(cpu, config, ids, ids.Length).Logits;
        foreach (StateFormat state in Enum.GetValues<StateFormat>())
        {
            // A prompt past the products over few rows, a step, and as many rows as each of the tiles for few takes.
            using CudaBackend gpu = Gpu.Load(folder.Path, format, state);
            double error = Gpu.RelativeError(expected, Gpu.Feed(gpu, config, ids, 130, 1, 8).Logits);
            Gpu.Write($"{format} {state}: relative error of logits {error:e1}");
            Assert.InRange(error, 0, tolerance);
            foreach (int rows in (int[])[20, 40, 70])
            {
                error = Gpu.RelativeError(expected[..(rows * config.VocabSize)], Gpu.Feed(gpu, config, ids[..rows], rows).Logits);
                Assert.InRange(error, 0, tolerance);
            }

            // And batches of single tokens with what is wanted of them: nothing, logits, shortlists.
            foreach (int size in (int[])[1, 3, 9])
            {
                using var states = new DisposableList<RecurrentState>(Enumerable.Range(0, size).Select(_ => gpu.CreateState()));
                Shortlist[] lists = [.. states.Select(_ => new Shortlist(4, new TokenMask(config.VocabSize, _ => false)))];
                var logits = new float[config.VocabSize];
                gpu.Forward([.. states.Select((of, i) => new BatchItem(of, ids.AsMemory(0, 1), i == 1 ? Output.None : Output.Shortlist, default, lists[i]))]);
                states[0].CopyLogitsTo(logits);
                Assert.Equal(logits.Max(), lists[0].Logits.ToArray().Max());
                Assert.InRange(Gpu.RelativeError(expected[..config.VocabSize], logits), 0, tolerance);
            }
        }
    }
}
