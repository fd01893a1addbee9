using Xlstm.Generation;
using Xunit;

namespace Xlstm.Tests.Generation;

public class RankCutTests
{
    // Risk: the order of the keys is not that of the floats (signs, zeros, subnormals, extremes), or a level of the selection is off by one.
    [Fact]
    public void CutsWhereASortWould()
    {
        var random = new Random(23);
        for (int round = 0; round < 500; round++)
        {
            float[] values = [.. Enumerable.Range(0, random.Next(1, 200)).Select(_ => (round % 4) switch
            {
                0 => BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue)) is var any && float.IsNaN(any) ? float.NegativeInfinity : any,
                1 => (float)random.Next(-2, 3),
                2 => random.NextSingle() * 1e-43f * (random.Next(2) - 0.5f),
                _ => 5 + (random.NextSingle() * 1e-5f),
            })];
            float[] weights = [.. values.Select(_ => random.Next(4) / 4f)];
            weights[0] = 1;
            int[] ranked = [.. Enumerable.Range(0, values.Length).OrderByDescending(i => values[i]).ThenBy(i => i)];

            int count = random.Next(1, values.Length + 1);
            RankCut cut = RankCut.Find(values, [], count);
            Assert.Equal(values[ranked[count - 1]], cut.Value);
            Assert.Equal(ranked.Take(count).Count(i => values[i] == cut.Value), cut.WeightAtValue);

            double target = weights.Sum(w => (double)w) * (1 - random.NextDouble());
            double reached = 0;
            int last = 0;
            while (reached + weights[ranked[last]] < target)
            {
                reached += weights[ranked[last++]];
            }

            cut = RankCut.Find(values, weights, target);
            Assert.Equal(values[ranked[last]], cut.Value);
            double above = ranked.Where(i => values[i] > cut.Value).Sum(i => (double)weights[i]);
            Assert.Equal(target - above, cut.WeightAtValue, 1e-9);
        }
    }
}
