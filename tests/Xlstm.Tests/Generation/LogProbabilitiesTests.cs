using Xlstm.Generation;
using Xunit;

namespace Xlstm.Tests.Generation;

public class LogProbabilitiesTests
{
    // Risk: overflow without the shift by the highest logit, sums in float32, tails of a vector left out, wrong order among equals.
    [Theory]
    [InlineData(1, 1f)]
    [InlineData(37, 3f)]
    [InlineData(5003, 30f)]
    [InlineData(5003, 1000f)]
    public void AreTheLogSoftmaxInDouble(int vocabSize, float scale)
    {
        var random = new Random(29);
        float[] logits = [.. Enumerable.Range(0, vocabSize).Select(_ => MathF.Round(random.NextSingle() * 40) / 40 * scale)];
        double highest = logits.Max();
        double logSum = highest + Math.Log(logits.Sum(logit => Math.Exp(logit - highest)));
        int chosen = random.Next(vocabSize);

        (float probability, TokenLogProbability[] top) = LogProbabilities.Of(logits, chosen, 100);

        Assert.Equal((float)(logits[chosen] - logSum), probability, 1e-6f * scale);
        int[] expected = [.. Enumerable.Range(0, vocabSize).OrderByDescending(id => logits[id]).ThenBy(id => id).Take(100)];
        Assert.Equal(expected, top.Select(token => token.Id));
        Assert.All(top, token => Assert.Equal((float)(logits[token.Id] - logSum), token.LogProbability, 1e-6f * scale));
    }

    [Fact]
    public void ImpossibleTokensAreNegativeInfinity()
    {
        (float chosen, TokenLogProbability[] top) = LogProbabilities.Of([float.NegativeInfinity, 3, float.NegativeInfinity], 1, 2);
        Assert.Equal(0, chosen);
        Assert.Equal([new TokenLogProbability(1, 0), new TokenLogProbability(0, float.NegativeInfinity)], top);
        Assert.Empty(LogProbabilities.Of([1, 2], 0, 0).Top);
    }
}
