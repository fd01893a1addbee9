using Xunit;

namespace Xlstm.Tests.Reference;

/// <summary>The cell alone, against values worked out by hand: what whole-model goldens cannot see.</summary>
public class ReferenceCellTests
{
    private static readonly double Ln2 = Math.Log(2);

    /// <summary>f so that sigmoid(f) is a given share.</summary>
    private static double Logit(double share) => Math.Log(share / (1 - share));

    // q = 4, k = 1, v = 3: scale 1 / sqrt(1), i = 0, so m = max(log 0.5 + 0, 0) = 0, C = 3, n = 1: h = 4 * 3 / (max(4, 1) + eps).
    // Risk: eps inside the max (12 / max(4, 1 + eps)) or left out.
    [Theory]
    [InlineData(0, 3)]
    [InlineData(2, 2)]
    [InlineData(8, 1)]
    public void EpsIsAddedOutsideTheMax(double eps, double h)
    {
        foreach (bool chunks in (bool[])[false, true])
        {
            Assert.Equal(h, Run(chunks, new HeadState(1, 1), [4], [1], [3], 0, 0, eps), 1e-12);
        }
    }

    // i = -ln 4 < log sigmoid(0) = -ln 2 = m: exp(-m) = 2, b = exp(i - m) = 1/2: q.n = q / 2, numerator 3 q / 2.
    // Risk: 1 in place of exp(-m), or m not that after the update.
    [Theory]
    [InlineData(1, 0.75)]    // |q.n| = 0.5 < 2: 1.5 / 2
    [InlineData(-1, -0.75)]  // the sign stays in the numerator
    [InlineData(16, 3)]      // |q.n| = 8 > 2: 24 / 8
    [InlineData(-16, -3)]
    public void TheDenominatorIsAtLeastExpOfMinusM(double q, double h)
    {
        foreach (bool chunks in (bool[])[false, true])
        {
            var state = new HeadState(1, 1);
            Assert.Equal(h, Run(chunks, state, [q], [1], [3], -Math.Log(4), 0, 0), 1e-12);
            Assert.Equal(-Ln2, state.M, 1e-12);
            Assert.Equal(0.5, state.N[0], 1e-12);
            Assert.Equal(1.5, state.C[0, 0], 1e-12);
        }
    }

    // Risk: k scaled in place of q (the state would then not be the official one), or a scale of 1 / dqk.
    [Fact]
    public void TheQueryIsScaledAndTheStateIsNot()
    {
        foreach (bool chunks in (bool[])[false, true])
        {
            var state = new HeadState(4, 2);
            double[] h = Run(chunks, state, [[8, 0, 0, 0]], [[1, 2, 0, 0]], [[3, 5]], [0], [0], 0)[0];
            Assert.Equal([3, 5], h); // q~ = 4: 12 / max(4, 1), 20 / max(4, 1)
            Assert.Equal([1, 2, 0, 0], state.N);
            Assert.Equal([3, 5, 6, 10, 0, 0, 0, 0], state.C.Cast<double>());
        }
    }

    // Two steps: the first leaves C = 2 k v^T at m = ln 2 (i = ln 2); the second forgets half of it.
    // Risk: m replaced by the largest input gate so far, or the decay applied to C but not to n.
    [Fact]
    public void TheStabilizerDecaysWithTheForgetGate()
    {
        foreach (bool chunks in (bool[])[false, true])
        {
            var state = new HeadState(1, 1);
            double[][] h = Run(chunks, state, [[1], [1]], [[1], [1]], [[3], [7]], [Ln2, -Math.Log(3)], [Logit(0.5), Logit(0.5)], 0);

            // unstabilized: C1 = 2 * 3, n1 = 2; C2 = 3 + 7/3, n2 = 1 + 1/3; m2 = ln 2 - ln 2 = 0
            Assert.Equal(6.0 / 2, h[0][0], 1e-12);
            Assert.Equal((3 + (7.0 / 3)) / (1 + (1.0 / 3)), h[1][0], 1e-12);
            Assert.Equal(0, state.M, 1e-12);
            Assert.Equal(3 + (7.0 / 3), state.C[0, 0], 1e-12);
            Assert.Equal(1 + (1.0 / 3), state.N[0], 1e-12);
        }
    }

    // Risk: gates as large as preactivations without a cap can be overflow or lose the tokens before.
    [Fact]
    public void ExtremeGatesStayFinite()
    {
        var random = new Random(31);
        double[][] Rows(int width) => [.. Enumerable.Range(0, 40).Select(_ => Enumerable.Range(0, width).Select(_ => random.NextDouble() - 0.5).ToArray())];
        (double[][] q, double[][] k, double[][] v) = (Rows(5), Rows(5), Rows(3));
        double[] i = [.. Enumerable.Range(0, 40).Select(_ => 2000 * (random.NextDouble() - 0.5))];
        double[] f = [.. Enumerable.Range(0, 40).Select(_ => 2000 * (random.NextDouble() - 0.5))];
        double[][] steps = Run(chunks: false, new HeadState(5, 3), q, k, v, i, f, 1e-6);
        double[][] chunks = Run(chunks: true, new HeadState(5, 3), q, k, v, i, f, 1e-6);
        Assert.All(steps.SelectMany(row => row).Zip(chunks.SelectMany(row => row)), pair => Assert.Equal(pair.First, pair.Second, 1e-7));
        Assert.All(steps.SelectMany(row => row), value => Assert.True(double.IsFinite(value)));
    }

    // Risk: heads mixed up or sharing a state. Only one head's input gate opens; the other's state must stay (almost) nothing.
    [Fact]
    public void HeadsAreToldApart()
    {
        XlstmConfig config = new() { EmbeddingDim = 12, NumBlocks = 1, NumHeads = 3, VocabSize = 11 };
        RandomModel random = RandomModels.Create(new Random(37), config);
        Dictionary<string, double[]> weights = random.Tensors.ToDictionary(pair => pair.Key, pair => pair.Value.Values);
        weights["backbone.blocks.0.mlstm_layer.igate_preact.weight"] = new double[3 * 12];
        weights["backbone.blocks.0.mlstm_layer.igate_preact.bias"] = [-400, 1, -400];
        XlstmConfig uncapped = config with { GateSoftCap = null };
        var state = new ReferenceState(uncapped);
        new ReferenceModel(uncapped, weights).Sequence(state, random.RandomIds(new Random(38), 9));
        double[] sizes = [.. state.Blocks[0].Select(head => head.C.Cast<double>().Max(Math.Abs))];
        Assert.InRange(sizes[0], 0, 1e-100);
        Assert.InRange(sizes[1], 1e-2, 100);
        Assert.InRange(sizes[2], 0, 1e-100);
    }

    private static double Run(bool chunks, HeadState state, double[] q, double[] k, double[] v, double i, double f, double eps) =>
        Run(chunks, state, [q], [k], [v], [i], [f], eps)[0][0];

    private static double[][] Run(bool chunks, HeadState state, double[][] q, double[][] k, double[][] v, double[] i, double[] f, double eps) =>
        chunks ? ReferenceCell.Chunks(state, q, k, v, i, f, eps, 16) : ReferenceCell.Steps(state, q, k, v, i, f, eps);
}
