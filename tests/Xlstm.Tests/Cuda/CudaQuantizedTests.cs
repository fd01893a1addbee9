using Xlstm.Backends;
using Xlstm.Backends.Cpu;
using Xlstm.Backends.Cuda;
using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;
using Xlstm.Tests.Reference;
using Xunit;

namespace Xlstm.Tests.Cuda;

/// <summary>int8 and int4 weights on the GPU against the CPU with the same weights: sizes that end within a group or a panel, all configs, wide models, packed folders.</summary>
[Collection(GpuTests.Name)]
public class CudaQuantizedTests
{
    private static readonly int[][] Splits = [[1], [150], [64, 1, 1, 37], [3, 100]];

    public static IEnumerable<TheoryDataRow<WeightFormat, bool>> Formats =>
        from format in Enum.GetValues<WeightFormat>()
        from mix in format == WeightFormat.Int4 ? new[] { false, true } : [false]
        select new TheoryDataRow<WeightFormat, bool>(format, mix);

    [Theory]
    [InlineData(WeightFormat.Int8, false)]
    [InlineData(WeightFormat.Int4, false)]
    [InlineData(WeightFormat.Int4, true)]
    public void OddSizesAgreeWithTheCpu(WeightFormat format, bool mix)
    {
        _ = Gpu.Device;
        var faults = new List<string>();
        for (int seed = 0; seed < 16; seed++)
        {
            var random = new Random(seed);
            RandomModel model = RandomModels.Create(random, dtype: "BF16");
            using var folder = new TemporaryFolder();
            RandomModels.WriteCheckpoint(folder.Path, model, new CheckpointLayout("BF16", Fused: random.Next(2) == 0));
            XlstmConfig c = model.Config;
            string what = $"{format} seed {seed} D {c.EmbeddingDim} H {c.NumHeads} dqk {c.QkHeadDim} dv {c.VHeadDim} F {c.FfnDim} V {c.VocabSize} bias {c.UseBias} tied {c.TieWordEmbeddings}";
            Compare(folder.Path, new WeightRecipe(format, mix), model.RandomIds(random, random.Next(65, 140)), what, faults);
        }

        Assert.True(faults.Count == 0, string.Join('\n', faults));
    }

    /// <summary>Before roundings have gone other ways, both compute the same: one token, one block.</summary>
    [Theory]
    [InlineData(WeightFormat.Int8)]
    [InlineData(WeightFormat.Int4)]
    public void AFirstTokenIsTheCpus(WeightFormat format)
    {
        _ = Gpu.Device;
        var faults = new List<string>();
        for (int seed = 0; seed < 16; seed++)
        {
            var random = new Random(seed);
            XlstmConfig c = RandomModels.RandomConfig(random) with { NumBlocks = 1 };
            RandomModel model = RandomModels.Create(random, c, "BF16");
            using var folder = new TemporaryFolder();
            RandomModels.WriteCheckpoint(folder.Path, model, new CheckpointLayout("BF16"));
            using CpuBackend cpu = Gpu.LoadCpu(folder.Path, format);
            using CudaBackend gpu = Gpu.Load(folder.Path, format);
            (float[] expected, float[] expectedState) = Gpu.Feed(cpu, c, [3], 1);
            (float[] logits, float[] state) = Gpu.Feed(gpu, c, [3], 1);
            double error = Gpu.RelativeError(expected, logits), stateError = Gpu.RelativeError(expectedState, state);
            string line = $"{format} seed {seed} D {c.EmbeddingDim} H {c.NumHeads} F {c.FfnDim}: relative error of logits {error:e1}, of the state {stateError:e1}";
            Gpu.Write(line);

            // The CPU rounds the input of lm_head to 8 bits, the GPU to 16.
            if (!(error <= 3e-2 && stateError <= 1e-4))
            {
                faults.Add(line);
            }
        }

        Assert.True(faults.Count == 0, string.Join('\n', faults));
    }

    [Theory]
    [InlineData("tiny-single", WeightFormat.Int8)]
    [InlineData("tiny-fused-bias", WeightFormat.Int8)]
    [InlineData("tiny-wide-bf16", WeightFormat.Int8)]
    [InlineData("tiny-single", WeightFormat.Int4)]
    [InlineData("tiny-fused-bias", WeightFormat.Int4)]
    [InlineData("tiny-wide-bf16", WeightFormat.Int4)]
    public void FixturesAgreeWithTheCpu(string name, WeightFormat format)
    {
        _ = Gpu.Device;
        var faults = new List<string>();
        Compare(TestData.Reference(name), format, Golden.Load(name).InputIds, $"{name} {format}", faults);
        Assert.True(faults.Count == 0, string.Join('\n', faults));
    }

    /// <summary>Widths of a multiple of 256 a head go through the copy engine, by kernels that are compiled for the number of columns.</summary>
    [Theory]
    [InlineData(WeightFormat.Int8, 512, 2, 2.667)]
    [InlineData(WeightFormat.Int4, 512, 1, 2.667)]
    [InlineData(WeightFormat.Int8, 2304, 3, 2.667)]
    [InlineData(WeightFormat.Int4, 2304, 3, 4.0)]
    public void WideModelsAgreeWithTheCpu(WeightFormat format, int width, int heads, double ffn)
    {
        CudaDevice device = Gpu.Device;
        var config = new XlstmConfig { EmbeddingDim = width, NumBlocks = width > 1024 ? 1 : 2, NumHeads = heads, VocabSize = 333, FfnProjFactor = ffn };
        using Checkpoint checkpoint = Synthesizer.Open(config, new SynthesisOptions { Type = ElementType.BFloat16 });
        using CpuBackend cpu = CpuBackend.Load(checkpoint, format, threads: 2, CpuInstructionSets.Best);
        using CudaBackend gpu = CudaBackend.Load([new DevicePlace(device, ModelStage.All(config))], checkpoint, format, threads: 4);
        var random = new Random(width);
        var faults = new List<string>();
        Compare(cpu, gpu, config, [.. Enumerable.Range(0, 100).Select(_ => random.Next(config.VocabSize))], $"{format} D {width}", faults);
        Assert.True(faults.Count == 0, string.Join('\n', faults));
    }

    /// <summary>Panels as they lie in the file, rows unpacked on the device, weights packed at load: all are the same weights, so all give the same bits.</summary>
    [Theory]
    [MemberData(nameof(Formats))]
    public void APackedFolderIsTheCheckpoint(WeightFormat format, bool mix)
    {
        _ = Gpu.Device;
        foreach (string name in new[] { "tiny-fused-bias", "tiny-wide-bf16" })
        {
            using var folder = new TemporaryFolder();
            string packed = folder.File("packed"), source = TestData.Reference(name);
            using (Checkpoint checkpoint = Checkpoint.Open(source))
            {
                ModelPacker.Pack(checkpoint, packed, new PackOptions { Weights = format, Mix = mix }, cancellationToken: TestContext.Current.CancellationToken);
            }

            int[] ids = Golden.Load(name).InputIds;
            using CudaBackend fromRows = Gpu.Load(source, new WeightRecipe(format, mix)), fromPanels = Gpu.Load(packed, format);
            Assert.Equal(fromRows.WeightBytes, fromPanels.WeightBytes);
            foreach (int[] split in (int[][])[[150], [100, 1]])
            {
                Assert.Equal(Gpu.Feed(fromRows, fromRows.Config, ids, split).Logits, Gpu.Feed(fromPanels, fromPanels.Config, ids, split).Logits);
            }
        }
    }

    /// <summary>A packed folder in another format than its own: its values are packed anew.</summary>
    [Fact]
    public void APackedFolderCanBeHeldInAnotherFormat()
    {
        _ = Gpu.Device;
        using var folder = new TemporaryFolder();
        string packed = folder.File("packed");
        using (Checkpoint checkpoint = Checkpoint.Open(TestData.Reference("tiny-fused-bias")))
        {
            ModelPacker.Pack(checkpoint, packed, new PackOptions { Weights = WeightFormat.Int8 }, cancellationToken: TestContext.Current.CancellationToken);
        }

        int[] ids = Golden.Load("tiny-fused-bias").InputIds;
        using CpuBackend cpu = Gpu.LoadCpu(packed, WeightFormat.Float32);
        using CudaBackend gpu = Gpu.Load(packed, WeightFormat.Float32);
        Assert.InRange(Gpu.RelativeError(Gpu.Feed(cpu, cpu.Config, ids, 150).Logits, Gpu.Feed(gpu, gpu.Config, ids, 150).Logits), 0, 1e-3);
    }

    [Theory]
    [InlineData(WeightFormat.Int8)]
    [InlineData(WeightFormat.Int4)]
    public void AnItemOfABatchIsWhatItIsAlone(WeightFormat format)
    {
        using CudaBackend backend = Gpu.Load(TestData.DemoModel, format);
        int vocabSize = backend.Config.VocabSize;
        int[] ids = [.. Enumerable.Range(0, 200).Select(i => i * 37 % vocabSize)];
        foreach (int count in (int[])[2, 9, 33, 64, 70])
        {
            using var states = new DisposableList<RecurrentState>(Enumerable.Range(0, count).Select(_ => backend.CreateState()));
            float[][] logits = [.. Enumerable.Range(0, count).Select(_ => Enumerable.Repeat(float.NaN, vocabSize).ToArray())];
            for (int step = 0; step < 2; step++)
            {
                backend.Forward([.. Enumerable.Range(0, count).Select(i => new BatchItem(states[i], ids.AsMemory(i + step, 1), Output.LastLogits, logits[i]))]);
            }

            foreach (int i in (int[])[0, count / 2, count - 1])
            {
                (float[] alone, _) = Gpu.Feed(backend, backend.Config, ids[i..(i + 2)], 1);
                double error = Gpu.RelativeError(alone[vocabSize..], logits[i]);
                Gpu.Write($"{format} item {i} of {count}: {error:e1}");
                Assert.InRange(error, 0, 6e-2);
            }
        }
    }

    private static void Compare(string folder, WeightRecipe recipe, int[] ids, string what, List<string> faults)
    {
        using CpuBackend cpu = Gpu.LoadCpu(folder, recipe);
        using CudaBackend gpu = Gpu.Load(folder, recipe);
        Compare(cpu, gpu, gpu.Config, ids, what, faults);
    }

    private static void Compare(CpuBackend cpu, CudaBackend gpu, XlstmConfig config, int[] ids, string what, List<string> faults)
    {
        (float[] expected, float[] expectedState) = Gpu.Feed(cpu, config, ids, ids.Length);
        foreach (int[] split in Splits)
        {
            (float[] logits, float[] state) = Gpu.Feed(gpu, config, ids, split);
            double error = Gpu.RelativeError(expected, logits), stateError = Gpu.RelativeError(expectedState, state);
            string line = $"{what}, calls of {string.Join(' ', split)}: relative error of logits {error:e1}, of the state {stateError:e1}";
            Gpu.Write(line);

            // A value near the middle between two integers of 8 bits may go the other way, which sends others after it, and a narrow model shows it.
            double allowed = split is [1] ? 5e-2 : 0.2;
            if (!(error <= allowed && stateError <= allowed))
            {
                faults.Add(line);
            }
        }
    }
}
