using Xlstm.Backends;
using Xlstm.Backends.Cpu;
using Xlstm.Checkpoints;
using Xlstm.Tests.Reference;
using Xunit;

namespace Xlstm.Tests.Backends;

/// <summary>The CPU backend against the plain double-precision implementation, over random models of odd sizes in every layout and dtype: logits and final state.</summary>
public class CpuReferenceTests
{
    [Theory]
    [InlineData("F32", WeightFormat.Float32)]
    [InlineData("BF16", WeightFormat.BFloat16)]
    [InlineData("F16", WeightFormat.Float32)]
    public void LogitsAndStateAgree(string dtype, WeightFormat format)
    {
        for (int seed = 0; seed < 25; seed++)
        {
            var random = new Random(seed);
            RandomModel model = RandomModels.Create(random, dtype: dtype);
            var layout = new CheckpointLayout(dtype, Fused: random.Next(2) == 0, Shards: random.Next(1, 4), Index: random.Next(2) == 0);
            int[] ids = model.RandomIds(random, random.Next(1, 70));
            using var folder = new TemporaryFolder();
            RandomModels.WriteCheckpoint(folder.Path, model, layout);
            using Checkpoint checkpoint = Checkpoint.Open(folder.Path);

            var expectedState = new ReferenceState(model.Config);
            double[][] expected = model.Reference.Sequence(expectedState, ids);
            foreach (CpuInstructionSet set in Enum.GetValues<CpuInstructionSet>().Where(CpuInstructionSets.IsSupported))
            {
                using CpuBackend backend = CpuBackend.Load(checkpoint, format, threads: random.Next(1, 4), set);
                using RecurrentState state = backend.CreateState();
                int vocabSize = model.Config.VocabSize;
                var logits = new float[ids.Length * vocabSize];
                backend.Forward([new BatchItem(state, ids, Output.AllLogits, logits)]);
                for (int i = 0; i < logits.Length; i++)
                {
                    // Where h is far below norm_eps a head's rounding errors are magnified: hence not 1e-5.
                    double value = expected[i / vocabSize][i % vocabSize];
                    Assert.Equal(value, logits[i], tolerance: 1e-3 * Math.Max(1, Math.Abs(value)));
                }

                AssertState(model.Config, expectedState, state);
            }
        }
    }

    /// <summary>Every head's C and n as they really are: the stored ones times e^m, the stabilizer that both sides choose for themselves.</summary>
    private static void AssertState(XlstmConfig config, ReferenceState expected, RecurrentState actual)
    {
        var values = new float[RecurrentState.FloatCount(config)];
        actual.CopyTo(values);
        int dqk = config.QkHeadDim, dv = config.VHeadDim, heads = config.NumHeads;
        for (int block = 0; block < config.NumBlocks; block++)
        {
            ReadOnlySpan<float> stored = values.AsSpan((int)(block * RecurrentState.BlockFloatCount(config)), (int)RecurrentState.BlockFloatCount(config));
            for (int head = 0; head < heads; head++)
            {
                HeadState reference = expected.Blocks[block][head];
                ReadOnlySpan<float> c = stored.Slice(head * dqk * dv, dqk * dv);
                ReadOnlySpan<float> n = stored.Slice((heads * dqk * dv) + (head * dqk), dqk);
                double m = stored[(heads * dqk * (dv + 1)) + head];
                Assert.Equal(reference.M, m, tolerance: 1e-2);
                double scale = Math.Exp(m - reference.M);
                for (int j = 0; j < dqk; j++)
                {
                    Assert.Equal(reference.N[j], n[j] * scale, tolerance: 2e-3);
                    for (int i = 0; i < dv; i++)
                    {
                        Assert.Equal(reference.C[j, i], c[(j * dv) + i] * scale, tolerance: 2e-3);
                    }
                }
            }
        }
    }
}
