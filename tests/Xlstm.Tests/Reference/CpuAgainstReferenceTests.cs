using Xlstm.Backends;
using Xlstm.Backends.Cpu;
using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests.Reference;

/// <summary>The CPU backend against the reference implementation, over random sizes, options and layouts that the goldens do not have.</summary>
public class CpuAgainstReferenceTests
{
    [Theory]
    [MemberData(nameof(Seeds))]
    public void LogitsAgreeOnRandomModels(int seed)
    {
        var random = new Random(seed);
        string dtype = (seed % 3) switch { 0 => "F32", 1 => "BF16", _ => "F16" };
        RandomModel model = RandomModels.Create(random, dtype: dtype);
        int[] ids = model.RandomIds(random, random.Next(1, 100));
        double[] expected = [.. model.Reference.Sequence(new ReferenceState(model.Config), ids).SelectMany(row => row)];
        string folder = Directory.CreateTempSubdirectory("xlstm-random-model-").FullName;
        try
        {
            var layout = new CheckpointLayout(dtype, Fused: random.Next(2) == 0, Shards: random.Next(1, 4), Index: random.Next(2) == 0);
            RandomModels.WriteCheckpoint(folder, model, layout);
            foreach (CpuInstructionSet set in Enum.GetValues<CpuInstructionSet>().Where(CpuInstructionSets.IsSupported))
            {
                using Checkpoint checkpoint = Checkpoint.Open(folder);
                using CpuBackend backend = CpuBackend.Load(checkpoint, WeightFormat.Float32, threads: 2, set);
                using RecurrentState state = backend.CreateState();
                var logits = new float[expected.Length];
                backend.Forward([new BatchItem(state, ids, Output.AllLogits, logits)]);
                double worst = expected.Zip(logits, (x, y) => Math.Abs(x - y) / Math.Max(1, Math.Abs(x))).Max();
                TestContext.Current.TestOutputHelper?.WriteLine($"{set}: {worst}, {model.Config}");
                Assert.True(worst <= 2e-4, $"{set}, {dtype}, {ids.Length} ids, {model.Config}: {worst}");
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    public static IEnumerable<TheoryDataRow<int>> Seeds => Enumerable.Range(0, 30).Select(seed => new TheoryDataRow<int>(seed));
}
