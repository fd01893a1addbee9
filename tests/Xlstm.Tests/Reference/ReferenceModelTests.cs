using Xunit;

namespace Xlstm.Tests.Reference;

public class ReferenceModelTests
{
    private const double Tolerance = 1e-9;

    /// <summary>Largest difference between logits or states, relative to values above 1.</summary>
    private static double Difference(IEnumerable<double> a, IEnumerable<double> b) =>
        a.Zip(b, (x, y) => Math.Abs(x - y) / Math.Max(1, Math.Abs(x))).Max();

    private static double[] Flatten(ReferenceState state) =>
        [.. state.Blocks.SelectMany(block => block).SelectMany(head => head.C.Cast<double>().Concat(head.N).Append(head.M))];

    // Risk: the second witness is wrong itself. The goldens come from the official implementation and from transformers in float32.
    [Theory]
    [InlineData("tiny-single", 2e-3)]
    [InlineData("tiny-fused-bias", 5e-4)]
    [InlineData("tiny-wide-bf16", 5e-4)]
    public void AgreesWithTheGoldens(string name, double tolerance)
    {
        Golden golden = Golden.Load(name);
        (XlstmConfig config, Dictionary<string, double[]> weights) = ReferenceCheckpoint.Read(TestData.Reference(name));
        var model = new ReferenceModel(config, weights);

        var state = new ReferenceState(config);
        double[][] logits = model.Sequence(state, golden.InputIds);
        Assert.InRange(logits.SelectMany(row => row).Zip(golden.Logits, (x, y) => Math.Abs(x - y)).Max(), 0, tolerance);
        double[][] chunkwise = model.Chunkwise(new ReferenceState(config), golden.InputIds, 64);
        Assert.InRange(Difference(logits.SelectMany(row => row), chunkwise.SelectMany(row => row)), 0, Tolerance);

        double[] last = logits[^1];
        for (int step = 0; step < golden.Greedy.Length; step++)
        {
            int best = Array.IndexOf(last, last.Max());
            if (best != golden.Greedy[step])
            {
                Assert.InRange(golden.Margins[step], 0, 5e-3);
                return;
            }

            last = model.Step(state, best);
        }
    }

    // Risk: a form of the cell that holds for whole chunks, from an empty state or for one head only.
    [Theory]
    [MemberData(nameof(Seeds))]
    public void StepsSplitsAndChunksAreEqual(int seed)
    {
        var random = new Random(seed);
        RandomModel sample = RandomModels.Create(random);
        ReferenceModel model = sample.Reference;
        int chunk = random.Next(2, 9);
        foreach (int length in (int[])[1, chunk - 1, chunk, chunk + 1, (3 * chunk) + 5])
        {
            int[] ids = sample.RandomIds(random, length);
            var stepped = new ReferenceState(sample.Config);
            double[] expected = [.. ids.SelectMany(id => model.Step(stepped, id))];

            void Same(string form, ReferenceState state, IEnumerable<double[]> logits)
            {
                double[] actual = [.. logits.SelectMany(row => row)];
                Assert.Equal(expected.Length, actual.Length);
                double difference = Math.Max(Difference(expected, actual), Difference(Flatten(stepped), Flatten(state)));
                Assert.True(difference <= Tolerance, $"{form}, length {length}, chunk {chunk}, {sample.Config}: {difference}");
            }

            var state = new ReferenceState(sample.Config);
            Same("sequence", state, model.Sequence(state, ids));
            state = new ReferenceState(sample.Config);
            Same("chunkwise", state, model.Chunkwise(state, ids, chunk));
            for (int trial = 0; trial < 3; trial++)
            {
                int split = random.Next(length + 1);
                state = new ReferenceState(sample.Config);
                double[][] head = split == 0 ? [] : model.Chunkwise(state, ids.AsSpan(0, split), chunk);
                double[][] tail = split == length ? [] : trial % 2 == 0 ? model.Sequence(state, ids.AsSpan(split)) : model.Chunkwise(state, ids.AsSpan(split), chunk);
                Same($"split at {split}", state, head.Concat(tail));
            }
        }
    }

    public static IEnumerable<TheoryDataRow<int>> Seeds => Enumerable.Range(0, 24).Select(seed => new TheoryDataRow<int>(seed));

    // Risk: an option of the config is read and does nothing, so that a test over random configs tests less than it seems to.
    [Fact]
    public void EveryOptionMatters()
    {
        XlstmConfig config = new()
        {
            EmbeddingDim = 24,
            NumBlocks = 2,
            NumHeads = 2,
            VocabSize = 31,
            UseBias = true,
        };
        RandomModel random = RandomModels.Create(new Random(3), config);
        Dictionary<string, double[]> weights = random.Tensors.ToDictionary(pair => pair.Key, pair => pair.Value.Values);
        int[] ids = random.RandomIds(new Random(4), 12);
        double[] Logits(XlstmConfig config, IReadOnlyDictionary<string, double[]>? other = null) =>
            [.. new ReferenceModel(config, other ?? weights).Sequence(new ReferenceState(config), ids).SelectMany(row => row)];

        double[] plain = Logits(config);
        foreach (XlstmConfig changed in (XlstmConfig[])[config with { NormEps = 1e-3f }, config with { Eps = 0.1f }, config with { GateSoftCap = null },
            config with { OutputLogitSoftCap = null }, config with { AddOutNorm = false }, config with { TieWordEmbeddings = true }])
        {
            Assert.True(Difference(plain, Logits(changed)) > 1e-6, changed.ToString());
        }

        foreach (string name in weights.Keys)
        {
            Dictionary<string, double[]> other = new(weights) { [name] = [.. weights[name].Select((value, i) => value + (0.1 * (i % 7)) + 0.05)] };
            Assert.True(Difference(plain, Logits(config, other)) > 1e-6, name);
        }
    }

    // Risk: what is written as a checkpoint is not what the reference computes with.
    [Theory]
    [InlineData("F32", false, 1, true)]
    [InlineData("BF16", true, 2, true)]
    [InlineData("F16", true, 3, false)]
    public void WrittenCheckpointsHoldTheSameWeights(string dtype, bool fused, int shards, bool index)
    {
        string folder = Directory.CreateTempSubdirectory("xlstm-random-model-").FullName;
        try
        {
            for (int seed = 0; seed < 5; seed++)
            {
                RandomModel model = RandomModels.Create(new Random(seed), dtype: dtype);
                RandomModels.WriteCheckpoint(folder, model, new CheckpointLayout(dtype, fused, shards, index));
                (XlstmConfig config, Dictionary<string, double[]> weights) = ReferenceCheckpoint.Read(folder);
                Assert.Equal(model.Config with { WeightMode = fused ? WeightMode.Fused : WeightMode.Single }, config);
                Assert.Equal(model.Tensors.Keys.Order(), weights.Keys.Order());
                Assert.All(weights, pair => Assert.Equal(model.Tensors[pair.Key].Values, pair.Value));
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
