using Xlstm.Backends;
using Xlstm.Backends.Cpu;
using Xlstm.Backends.Cuda;
using Xlstm.Tests.Reference;
using Xunit;

namespace Xlstm.Tests.Cuda;

/// <summary>Decoding a batch: slots that nobody has taken, tiles cut at any step, and what a sequence may know of its neighbours (nothing).</summary>
[Collection(GpuTests.Name)]
public class CudaBatchTests
{
    private const int Steps = 3;

    /// <summary>Sizes at which products are dealt out in all ways: clusters that share a tile, a tile or several a block of threads; cells by the copy engine and not; odd rows.</summary>
    [Theory]
    [InlineData(512, 2, 334, WeightFormat.BFloat16, StateFormat.Float32)]
    [InlineData(512, 1, 334, WeightFormat.BFloat16, StateFormat.BFloat16)]
    [InlineData(1024, 4, 4002, WeightFormat.BFloat16, StateFormat.Float32)]
    [InlineData(128, 2, 52002, WeightFormat.BFloat16, StateFormat.Float32)]
    [InlineData(384, 2, 335, WeightFormat.BFloat16, StateFormat.BFloat16)]
    [InlineData(512, 2, 333, WeightFormat.Float32, StateFormat.Float32)]
    public void ABatchOfAnySizeAgreesWithTheCpu(int width, int heads, int vocabSize, WeightFormat format, StateFormat state)
    {
        _ = Gpu.Device;
        var random = new Random(width);
        var config = new XlstmConfig { EmbeddingDim = width, NumBlocks = 2, NumHeads = heads, VocabSize = vocabSize, UseBias = heads == 4 };
        RandomModel model = RandomModels.Create(random, config, "BF16");
        using var folder = new TemporaryFolder();
        RandomModels.WriteCheckpoint(folder.Path, model, new CheckpointLayout("BF16"));
        using CpuBackend cpu = Gpu.LoadCpu(folder.Path, format);
        using CudaBackend gpu = Gpu.Load(folder.Path, format, state);
        int[][] sequences = [.. Enumerable.Range(0, 8).Select(_ => model.RandomIds(random, Steps))];
        (float[] Logits, float[] State)[] expected = [.. sequences.Select(ids => Gpu.Feed(cpu, config, ids, 1))];
        var faults = new List<string>();
        foreach (int size in (int[])[2, 3, 7, 33, 65, 128])
        {
            (float[][] logits, float[][] states) = Decode(gpu, config, [.. Enumerable.Range(0, size).Select(i => sequences[i % 8])]);
            double worst = 0, worstState = 0;
            for (int i = 0; i < size; i++)
            {
                if (i < 8)
                {
                    worst = Math.Max(worst, Gpu.RelativeError(expected[i].Logits, logits[i]));
                    worstState = Math.Max(worstState, Gpu.RelativeError(expected[i].State, states[i]));
                }
                else
                {
                    Assert.True(logits[i].AsSpan().SequenceEqual(logits[i - 8]) && states[i].AsSpan().SequenceEqual(states[i - 8]), $"batch of {size}: items {i - 8} and {i} are fed alike and differ");
                }
            }

            string line = $"D {width} {format} {state}, batch of {size}: relative error of logits {worst:e1}, of states {worstState:e1}";
            Gpu.Write(line);
            double allowed = format == WeightFormat.Float32 ? 1e-4 : 2e-2;
            if (!(worst <= allowed && worstState <= allowed))
            {
                faults.Add(line);
            }
        }

        Assert.True(faults.Count == 0, string.Join('\n', faults));
    }

    [Fact]
    public void ASequenceKnowsNothingOfItsNeighbours()
    {
        using CudaBackend backend = Gpu.Load(TestData.DemoModel, WeightFormat.BFloat16);
        XlstmConfig config = backend.Config;
        int[][] Sequences(int size, int seed) => [.. Enumerable.Range(0, size).Select(i => Enumerable.Range(0, Steps).Select(step => (((i + 1) * 7919) + (step * 31) + (i == 2 ? 0 : seed)) % config.VocabSize).ToArray())];
        (float[][] logits, float[][] states) = Decode(backend, config, Sequences(8, 1));
        foreach (int size in (int[])[5, 7, 8])
        {
            (float[][] others, float[][] otherStates) = Decode(backend, config, Sequences(size, 2));
            Assert.Equal(logits[2], others[2]);
            Assert.Equal(states[2], otherStates[2]);
            Assert.NotEqual(logits[3], others[3]);
        }
    }

    [Fact]
    public void AStateOutsideTheBatchStaysAsItIs()
    {
        using CudaBackend backend = Gpu.Load(TestData.Reference("tiny-wide-bf16"), WeightFormat.BFloat16);
        using var states = new DisposableList<RecurrentState>(Enumerable.Range(0, 8).Select(_ => backend.CreateState()));
        void Step(int size) => backend.Forward([.. Enumerable.Range(0, size).Select(i => new BatchItem(states[i], new[] { i + 1 }, Output.None, default))]);
        Step(8);
        float[][] before = [.. Enumerable.Range(0, 8).Select(i => Gpu.StateOf(states[i], backend.Config))];
        Step(5);
        for (int i = 0; i < 8; i++)
        {
            Assert.Equal(i >= 5, before[i].AsSpan().SequenceEqual(Gpu.StateOf(states[i], backend.Config)));
        }
    }

    [Fact]
    public void AnItemGetsWhatItAsksFor()
    {
        using CudaBackend backend = Gpu.Load(TestData.DemoModel, WeightFormat.BFloat16);
        int vocabSize = backend.Config.VocabSize;
        var none = new TokenMask(vocabSize, _ => false);
        (float[][] expected, _) = Decode(backend, backend.Config, [[1], [22], [333], [4], [5]]);
        using var states = new DisposableList<RecurrentState>(expected.Select(_ => backend.CreateState()));
        float[] first = new float[vocabSize], fourth = new float[vocabSize], kept = new float[vocabSize];
        Shortlist second = new(3, none), fifth = new(1, none);
        backend.Forward(
        [
            new BatchItem(states[0], new[] { 1 }, Output.LastLogits, first),
            new BatchItem(states[1], new[] { 22 }, Output.Shortlist, default, second),
            new BatchItem(states[2], new[] { 333 }, Output.None, default),
            new BatchItem(states[3], new[] { 4 }, Output.AllLogits, fourth),
            new BatchItem(states[4], new[] { 5 }, Output.Shortlist, default, fifth),
        ]);
        Assert.Equal(expected[0], first);
        Assert.Equal(expected[3], fourth);
        states[1].CopyLogitsTo(kept);
        Assert.Equal(expected[1], kept);
        Assert.Equal(expected[1].Max(), second.Logits.ToArray().Max());
        states[4].CopyLogitsTo(kept);
        Assert.Equal(expected[4], kept);
        Assert.Equal(expected[4].Max(), fifth.Logits.ToArray().Max());
    }

    /// <summary>Feeds sequences of one length in lockstep, a token of each a call; logits of every position and the states after the last.</summary>
    internal static (float[][] Logits, float[][] States) Decode(Backend backend, XlstmConfig config, int[][] sequences)
    {
        using var states = new DisposableList<RecurrentState>(sequences.Select(_ => backend.CreateState()));
        int length = sequences[0].Length;
        float[][] logits = [.. sequences.Select(_ => Enumerable.Repeat(float.NaN, length * config.VocabSize).ToArray())];
        for (int step = 0; step < length; step++)
        {
            backend.Forward([.. sequences.Select((ids, i) =>
                new BatchItem(states[i], ids.AsMemory(step, 1), Output.LastLogits, logits[i].AsMemory(step * config.VocabSize, config.VocabSize)))]);
        }

        return (logits, [.. Enumerable.Range(0, sequences.Length).Select(i => Gpu.StateOf(states[i], config))]);
    }
}
