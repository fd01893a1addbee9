using Xlstm.Backends;
using Xlstm.Backends.Cpu;
using Xlstm.Backends.Cuda;
using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;
using Xunit;

namespace Xlstm.Tests.Cuda;

/// <summary>The machine's first GPU; the tests that need one are skipped, with the reason, where there is none.</summary>
internal static class Gpu
{
    public static CudaDevice Device
    {
        get
        {
            CudaDevice? first = CudaDevice.Find(out string? fault).FirstOrDefault(device => device.Fault is null);
            Assert.SkipWhen(first is null, fault ?? "no GPU of compute capability 8.0 or later");
            return first!;
        }
    }

    public static CudaBackend Load(string folder, WeightRecipe recipe, StateFormat state = StateFormat.Float32)
    {
        CudaDevice device = Device;
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        return CudaBackend.Load([new DevicePlace(device, ModelStage.All(checkpoint.Config))], checkpoint, recipe, threads: 2, state);
    }

    /// <summary>A model cut into stages that all lie on the one GPU: what several GPUs do, but for where the memory is.</summary>
    public static CudaBackend LoadInStages(string folder, WeightRecipe recipe, params int[] blocks)
    {
        CudaDevice device = Device;
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        return CudaBackend.Load([.. ModelStage.Divide(blocks).Select(stage => new DevicePlace(device, stage))], checkpoint, recipe, threads: 2);
    }

    public static CpuBackend LoadCpu(string folder, WeightRecipe recipe)
    {
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        return CpuBackend.Load(checkpoint, recipe, threads: 2, CpuInstructionSets.Best);
    }

    /// <summary>Feeds ids in calls of the given lengths, the logits' buffers poisoned; logits of every position and the state after the last.</summary>
    public static (float[] Logits, float[] State) Feed(Backend backend, XlstmConfig config, int[] ids, params int[] lengths)
    {
        using RecurrentState state = backend.CreateState();
        var logits = new float[ids.Length * config.VocabSize];
        Array.Fill(logits, float.NaN);
        int fed = 0;
        for (int call = 0; fed < ids.Length; call++)
        {
            int length = Math.Min(ids.Length - fed, lengths[Math.Min(call, lengths.Length - 1)]);
            backend.Forward([new BatchItem(state, ids.AsMemory(fed, length), Output.AllLogits, logits.AsMemory(fed * config.VocabSize, length * config.VocabSize))]);
            fed += length;
        }

        return (logits, StateOf(state, config));
    }

    public static float[] StateOf(RecurrentState state, XlstmConfig config)
    {
        var values = new float[RecurrentState.FloatCount(config)];
        Array.Fill(values, float.NaN);
        state.CopyTo(values);
        return values;
    }

    /// <summary>The length of the difference over the length of what is expected.</summary>
    public static double RelativeError(float[] expected, float[] actual)
    {
        double difference = 0, length = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            difference += Math.Pow(expected[i] - actual[i], 2);
            length += Math.Pow(expected[i], 2);
        }

        return Math.Sqrt(difference / length);
    }

    /// <summary>The largest difference; infinite if anything is not a number.</summary>
    public static float WorstDifference(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        float worst = 0;
        for (int i = 0; i < a.Length; i++)
        {
            float difference = MathF.Abs(a[i] - b[i]);
            worst = difference >= 0 ? MathF.Max(worst, difference) : float.PositiveInfinity;
        }

        return worst;
    }

    public static void Write(string line) => TestContext.Current.TestOutputHelper?.WriteLine(line);
}
