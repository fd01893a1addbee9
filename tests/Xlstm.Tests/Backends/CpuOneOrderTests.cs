using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Xlstm.Backends;
using Xlstm.Backends.Cpu;
using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests.Backends;

/// <summary>
/// One arithmetic order: how a sequence is cut into calls, what else is in a batch, the number of threads and (where the
/// machine fuses) the instruction set change no bit of logits or state. Snapshots, resumed sessions and batched serving
/// rest on it.
/// </summary>
public class CpuOneOrderTests
{
    private static readonly CpuInstructionSet[] Sets = [.. Enum.GetValues<CpuInstructionSet>().Where(CpuInstructionSets.IsSupported)];

    public static IEnumerable<TheoryDataRow<string, WeightFormat>> Cases =>
        from name in TestData.References
        from format in Enum.GetValues<WeightFormat>()
        select new TheoryDataRow<string, WeightFormat>(name.Data, format);

    [Theory]
    [MemberData(nameof(Cases))]
    public void AnySplitOfASequence(string name, WeightFormat format)
    {
        int[] ids = Golden.Load(name).InputIds;
        foreach (CpuInstructionSet set in Sets)
        {
            using CpuBackend backend = Load(name, format, threads: 2, set);
            Run whole = Feed(backend, ids, [ids.Length]);
            Run steps = Feed(backend, ids, [.. Enumerable.Repeat(1, ids.Length)]);
            AssertSame(whole, steps);
            for (int seed = 0; seed < 8; seed++)
            {
                AssertSame(whole, Feed(backend, ids, RandomSplit(new Random(seed), ids.Length)));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void AnyBatch(string name, WeightFormat format)
    {
        int[] ids = Golden.Load(name).InputIds;
        using CpuBackend backend = Load(name, format, threads: 2, CpuInstructionSets.Best);
        int[][] sequences = [ids[..1], ids[1..14], ids[20..21], ids[..150], ids[30..67], ids[5..6]];
        using var states = new DisposableList<RecurrentState>(sequences.Select(_ => backend.CreateState()));
        float[][] logits = [.. sequences.Select(_ => new float[backend.Config.VocabSize])];
        backend.Forward([.. sequences.Select((s, i) => new BatchItem(states[i], s, Output.LastLogits, logits[i]))]);
        for (int i = 0; i < sequences.Length; i++)
        {
            Run alone = Feed(backend, sequences[i], [sequences[i].Length]);
            Assert.Equal(alone.Logits[^backend.Config.VocabSize..], logits[i]);
            Assert.Equal(alone.State, StateOf(backend, states[i]));
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void AnyNumberOfThreads(string name, WeightFormat format)
    {
        int[] ids = Golden.Load(name).InputIds;
        Run? first = null;
        foreach (int threads in new[] { 1, 2, 3, 7 })
        {
            using CpuBackend backend = Load(name, format, threads, CpuInstructionSets.Best);
            Run run = Feed(backend, ids, [100, 1, 1, 48]);
            AssertSame(first ??= run, run);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void AnyInstructionSetThatFuses(string name, WeightFormat format)
    {
        Assert.SkipUnless(Fma.IsSupported || AdvSimd.IsSupported, "no fused multiply-add on this machine");
        int[] ids = Golden.Load(name).InputIds;
        Run? first = null;
        foreach (CpuInstructionSet set in Sets)
        {
            using CpuBackend backend = Load(name, format, threads: 2, set);
            Run run = Feed(backend, ids, [75, 1, 74]);
            AssertSame(first ??= run, run);
        }
    }

    private static CpuBackend Load(string name, WeightFormat format, int threads, CpuInstructionSet set)
    {
        using Checkpoint checkpoint = Checkpoint.Open(TestData.Reference(name));
        return CpuBackend.Load(checkpoint, format, threads, set);
    }

    private static Run Feed(CpuBackend backend, int[] ids, int[] lengths)
    {
        using RecurrentState state = backend.CreateState();
        int vocabSize = backend.Config.VocabSize;
        var logits = new float[ids.Length * vocabSize];
        int fed = 0;
        foreach (int length in lengths)
        {
            backend.Forward([new BatchItem(state, ids.AsMemory(fed, length), Output.AllLogits, logits.AsMemory(fed * vocabSize, length * vocabSize))]);
            fed += length;
        }

        return new Run(logits, StateOf(backend, state));
    }

    private static float[] StateOf(CpuBackend backend, RecurrentState state)
    {
        var values = new float[RecurrentState.FloatCount(backend.Config)];
        state.CopyTo(values);
        return values;
    }

    private static int[] RandomSplit(Random random, int total)
    {
        var lengths = new List<int>();
        for (int left = total; left > 0; left -= lengths[^1])
        {
            lengths.Add(Math.Min(left, random.Next(1, random.Next(2, 41))));
        }

        return [.. lengths];
    }

    private static void AssertSame(Run expected, Run actual)
    {
        Assert.Equal(expected.Logits, actual.Logits);
        Assert.Equal(expected.State, actual.State);
    }

    private sealed record Run(float[] Logits, float[] State);
}
