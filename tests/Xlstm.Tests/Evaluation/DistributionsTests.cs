using Xlstm.Evaluation;
using Xlstm.Generation;
using Xunit;

namespace Xlstm.Tests.Evaluation;

/// <summary>Risk: a divergence that is plausible and wrong, since nothing else in the project would notice.</summary>
public class DistributionsTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(16)]
    [InlineData(101)]
    public void DivergenceIsTheSumOfItsDefinition(int size)
    {
        var random = new Random(size);
        float[] p = Logits(random, size), q = Logits(random, size);
        double[] probabilitiesP = Softmax(p), probabilitiesQ = Softmax(q);
        double expected = Enumerable.Range(0, size).Sum(i => probabilitiesP[i] * Math.Log(probabilitiesP[i] / probabilitiesQ[i]));
        Assert.Equal(expected, Divergence(p, q), 1e-9);
    }

    [Fact]
    public void DivergenceKnowsWhichDistributionIsTheTruth()
    {
        float[] p = [0, 0], q = [MathF.Log(3), 0]; // (1/2, 1/2) and (3/4, 1/4)
        Assert.Equal((0.5 * Math.Log(0.5 / 0.75)) + (0.5 * Math.Log(0.5 / 0.25)), Divergence(p, q), 1e-7);
        Assert.Equal((0.75 * Math.Log(0.75 / 0.5)) + (0.25 * Math.Log(0.25 / 0.5)), Divergence(q, p), 1e-7);
    }

    [Fact]
    public void EqualDistributionsDoNotDiverge()
    {
        float[] p = Logits(new Random(5), 333);
        Assert.Equal(0, Divergence(p, p));
        Assert.Equal(0, Divergence(p, [.. p.Select(logit => logit + 4)]), 1e-6);
    }

    [Fact]
    public void TheFirstOfEqualTokensIsOnTop() => Assert.Equal(1, Distributions.Top([-3, 2, 1, 2]));

    private static double Divergence(float[] p, float[] q) => Distributions.Divergence(p, LogProbabilities.LogSumExp(p), q, LogProbabilities.LogSumExp(q));

    private static float[] Logits(Random random, int size) => [.. Enumerable.Range(0, size).Select(_ => (random.NextSingle() * 40) - 20)];

    private static double[] Softmax(float[] logits)
    {
        double sum = logits.Sum(logit => Math.Exp(logit));
        return [.. logits.Select(logit => Math.Exp(logit) / sum)];
    }
}
