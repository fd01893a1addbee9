using Xlstm.Backends;
using Xlstm.Backends.Cuda;
using Xunit;

namespace Xlstm.Tests.Cuda;

/// <summary>A model on several GPUs gives the bits that it gives on one: for a step, a prompt, and a batch of both, states included.</summary>
[Collection(GpuTests.Name)]
public class CudaStageTests
{
    [Theory]
    [InlineData(WeightFormat.Float32, 5, 5)]
    [InlineData(WeightFormat.BFloat16, 1, 7, 2)]
    [InlineData(WeightFormat.BFloat16, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)]
    public void StagesGiveTheBitsOfTheWhole(WeightFormat format, params int[] blocks)
    {
        using CudaBackend whole = Gpu.Load(TestData.DemoModel, format);
        using CudaBackend stages = Gpu.LoadInStages(TestData.DemoModel, format, blocks);
        int[] ids = [.. Enumerable.Range(0, 300).Select(i => i * 37 % whole.Config.VocabSize)];
        (float[] logits, float[] state) = Gpu.Feed(whole, whole.Config, ids, 200, 1, 1, 60, 1);
        (float[] stagedLogits, float[] stagedState) = Gpu.Feed(stages, whole.Config, ids, 200, 1, 1, 60, 1);
        Assert.Equal(logits, stagedLogits);
        Assert.Equal(state, stagedState);
        Assert.Equal(Batch(whole, ids), Batch(stages, ids));
    }

    [Fact]
    public void StatesOfSeveralPartsAreCopiedAndReset()
    {
        using CudaBackend stages = Gpu.LoadInStages(TestData.DemoModel, WeightFormat.BFloat16, 2, 5, 3);
        using RecurrentState state = stages.CreateState(), copy = stages.CreateState();
        stages.Forward([new BatchItem(state, new[] { 1, 2, 3 }, Output.None, default)]);
        copy.CopyFrom(state);
        float[] values = Gpu.StateOf(state, stages.Config);
        Assert.Contains(values, value => value != 0);
        Assert.Equal(values, Gpu.StateOf(copy, stages.Config));
        state.Reset();
        Assert.All(Gpu.StateOf(state, stages.Config), value => Assert.Equal(0, value));
        Assert.Equal(values, Gpu.StateOf(copy, stages.Config));
    }

    /// <summary>A prompt, a step and another prompt together.</summary>
    private static float[] Batch(CudaBackend backend, int[] ids)
    {
        int v = backend.Config.VocabSize;
        int[][] sequences = [ids[..70], ids[70..71], ids[100..113]];
        using var states = new DisposableList<RecurrentState>(sequences.Select(_ => backend.CreateState()));
        float[] logits = [.. Enumerable.Repeat(float.NaN, 3 * v)];
        backend.Forward([.. sequences.Select((s, i) => new BatchItem(states[i], s, Output.LastLogits, logits.AsMemory(i * v, v)))]);
        return logits;
    }
}
