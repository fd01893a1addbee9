using Xlstm.Backends;
using Xlstm.Backends.Cpu;
using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests.Backends;

/// <summary>The CPU backend against PyTorch, on every instruction set that this machine has.</summary>
public class CpuGoldenTests
{
    [Theory]
    [MemberData(nameof(TestData.References), MemberType = typeof(TestData))]
    public void LogitsAgreeWithPyTorch(string name)
    {
        Golden golden = Golden.Load(name);
        foreach (CpuInstructionSet set in Enum.GetValues<CpuInstructionSet>().Where(CpuInstructionSets.IsSupported))
        {
            using Checkpoint checkpoint = Checkpoint.Open(TestData.Reference(name));
            using CpuBackend backend = CpuBackend.Load(checkpoint, WeightFormat.Float32, threads: 2, set);
            using RecurrentState state = backend.CreateState();
            var logits = new float[golden.Logits.Length];
            backend.Forward([new BatchItem(state, golden.InputIds, Output.AllLogits, logits)]);
            float worst = logits.Zip(golden.Logits, (a, b) => MathF.Abs(a - b)).Max();
            TestContext.Current.TestOutputHelper?.WriteLine($"{name} {set}: max difference {worst}");
            Assert.InRange(worst, 0, name == "tiny-single" ? 2e-3f : 5e-4f);
        }
    }
}
