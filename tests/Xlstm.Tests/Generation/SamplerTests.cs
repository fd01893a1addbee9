using Xlstm.Backends;
using Xlstm.Generation;
using Xlstm.Tests.Sessions;
using Xunit;

namespace Xlstm.Tests.Generation;

public class SamplerTests
{
    /// <summary>Every filter off; temperature 1.</summary>
    private static readonly SamplingOptions Plain = new() { Temperature = 1, TopK = 0, TopP = 1, MinP = 0, Seed = 1 };

    /// <summary>So hot that every survivor is drawn about equally often: the set of survivors shows.</summary>
    private const float Flat = 1e6f;

    private static float[] Logs(params double[] probabilities) => [.. probabilities.Select(p => (float)Math.Log(p))];

    private static SortedSet<int> Survivors(SamplingOptions options, float[] logits, int draws = 400)
    {
        var sampler = new Sampler(options with { Temperature = Flat }, logits.Length, null);
        SortedSet<int> drawn = [];
        for (int i = 0; i < draws; i++)
        {
            drawn.Add(sampler.Sample(logits));
        }

        return drawn;
    }

    private static float[] Gaussian(Random random, int count, double deviation)
    {
        var result = new float[count];
        for (int i = 0; i < count; i++)
        {
            result[i] = (float)(deviation * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(Math.Tau * random.NextDouble()));
        }

        return result;
    }

    // Risk: draws that do not follow the softmax at the temperature asked for.
    [Theory]
    [InlineData(0.5f)]
    [InlineData(1f)]
    [InlineData(2f)]
    public void DrawsFollowTheTemperedDistribution(float temperature)
    {
        const int Draws = 100_000;
        float[] logits = Gaussian(new Random(5), 37, 2);
        SamplingOptions options = Plain with { Temperature = temperature };
        Dictionary<int, double> expected = NaiveChain.Run(logits, options);
        var sampler = new Sampler(options, logits.Length, null);
        var counts = new int[logits.Length];
        for (int i = 0; i < Draws; i++)
        {
            counts[sampler.Sample(logits)]++;
        }

        for (int id = 0; id < counts.Length; id++)
        {
            double deviation = Math.Sqrt(Draws * expected[id] * (1 - expected[id]));
            Assert.InRange(counts[id], (Draws * expected[id]) - (4.5 * deviation) - 1, (Draws * expected[id]) + (4.5 * deviation) + 1);
        }
    }

    // Risk: a filter keeps one token too many or too few, drops the wrong one of equals, or the filters are chained wrongly.
    [Fact]
    public void SurvivorsAreThoseOfTheNaiveChain()
    {
        var random = new Random(7);
        for (int round = 0; round < 300; round++)
        {
            int count = random.Next(1, 80);
            float[] logits = round % 2 == 0
                ? Gaussian(random, count, 1 + random.Next(3))
                : [.. Enumerable.Range(0, count).Select(_ => (float)random.Next(-2, 3))]; // many equals
            if (random.Next(3) == 0)
            {
                logits[random.Next(count)] = float.NegativeInfinity;
                logits[random.Next(count)] = 3;
            }

            SamplingOptions options = Plain with
            {
                TopK = random.Next(2) == 0 ? 0 : random.Next(1, count + 3),
                TopP = random.Next(2) == 0 ? 1 : random.Next(1, 20) / 20f,
                MinP = random.Next(2) == 0 ? 0 : 0.3f * random.NextSingle(),
                LogitBias = random.Next(2) == 0 ? null : new Dictionary<int, float> { [random.Next(count)] = 1.5f, [random.Next(count)] = -0.5f },
            };
            Dictionary<int, double> expected = NaiveChain.Run(logits, options);
            SortedSet<int> drawn = Survivors(options, logits, draws: 25 * expected.Count);
            Assert.True(drawn.SetEquals(expected.Keys), $"round {round}, {options}: expected {string.Join(' ', expected.Keys.Order())}, drew {string.Join(' ', drawn)}");
        }
    }

    // Risk: with a real vocabulary, top-k's shortcut through the maxima of groups loses tokens (tops crowded into one group, equals everywhere, few finite).
    [Theory]
    [InlineData("gaussian")]
    [InlineData("crowded")]
    [InlineData("equal")]
    [InlineData("few finite")]
    [InlineData("ascending")]
    public void TopKOfALargeVocabularyIsExact(string kind)
    {
        var random = new Random(11);
        float[] logits = Gaussian(random, 50_257, 2);
        switch (kind)
        {
            case "crowded":
                Gaussian(random, 100, 1).Select(x => x + 20).ToArray().CopyTo(logits, 30_000);
                break;
            case "equal":
                Array.Fill(logits, -0f);
                logits[40_000] = 0f;
                break;
            case "few finite":
                Array.Fill(logits, float.NegativeInfinity);
                Gaussian(random, 30, 1).CopyTo(logits, 50_000);
                break;
            case "ascending":
                Array.Sort(logits);
                break;
        }

        SamplingOptions options = Plain with { TopK = 40 };
        Assert.Equal(NaiveChain.Run(logits, options).Keys.Order(), Survivors(options, logits, draws: 1000));
    }

    // Risk: top-p over a whole vocabulary loses mass to float32 sums or to rounding between the levels of the selection.
    [Theory]
    [InlineData(0.3f, 3)]
    [InlineData(0.9f, 5)]
    [InlineData(0.999f, 7)]
    public void TopPOfALargeVocabularyIsExact(float topP, double deviation)
    {
        float[] logits = Gaussian(new Random(13), 50_257, deviation);
        SamplingOptions options = Plain with { TopP = topP };
        Dictionary<int, double> expected = NaiveChain.Run(logits, options);
        Assert.InRange(expected.Count, 2, 500);
        Assert.Equal(expected.Keys.Order(), Survivors(options, logits, draws: 25 * expected.Count));
    }

    // Risk: a probability that reaches top-p exactly, but for rounding, lets one more token in.
    [Theory]
    [InlineData(0.1f, 1)]
    [InlineData(0.3f, 3)]
    [InlineData(0.7f, 7)]
    [InlineData(0.95f, 10)]
    [InlineData(1e-7f, 1)]
    public void TopPCountsEqualTokensExactly(float topP, int kept) =>
        Assert.Equal(Enumerable.Range(0, kept), Survivors(Plain with { TopP = topP }, new float[10]));

    // Each expected set holds for the documented order only; the comment names the order that would break it.
    [Fact]
    public void ChainRunsInTheDocumentedOrder()
    {
        // top-p before top-k would keep {0, 1}: 0.4 alone does not reach 0.55, but 0.4 / 0.7 does.
        Assert.Equal([0], Survivors(Plain with { TopK = 2, TopP = 0.55f }, Logs(0.4, 0.3, 0.3)));

        // min-p before top-p would keep {0}: without the third token 0.5 becomes 0.625.
        Assert.Equal([0, 1], Survivors(Plain with { TopP = 0.6f, MinP = 0.5f }, Logs(0.5, 0.3, 0.2)));

        // temperature before top-p or min-p would keep more than {0}.
        Assert.Equal([0], Survivors(Plain with { TopP = 0.45f }, Logs(0.5, 0.3, 0.2)));
        Assert.Equal([0], Survivors(Plain with { MinP = 0.7f }, Logs(0.5, 0.3, 0.2)));

        // bias after top-k would keep {0}.
        Assert.Equal([2], Survivors(Plain with { TopK = 1, LogitBias = new Dictionary<int, float> { [2] = 5 } }, Logs(0.5, 0.3, 0.2)));
    }

    // Risk: bias before the penalty would give (1 + 1) / 2 = 1 < 1.2 instead of 1 / 2 + 1 = 1.5.
    [Fact]
    public void PenaltiesComeBeforeBiasAndTopK()
    {
        var sampler = new Sampler(Plain with { TopK = 1, RepetitionPenalty = 2, LogitBias = new Dictionary<int, float> { [0] = 1 } }, 2, null);
        sampler.Accept(0, generated: false);
        Assert.Equal(0, sampler.Sample([1f, 1.2f]));
    }

    // Risk: prompt tokens count for the wrong penalties, a token counts twice, negative logits are divided.
    [Theory]
    [InlineData(2f, 0f, 0f)]
    [InlineData(0.5f, 0f, 0f)]
    [InlineData(1f, 0.75f, 0f)]
    [InlineData(1f, 0f, 0.5f)]
    [InlineData(1.3f, -0.2f, 0.3f)]
    public void PenaltiesAreThoseOfTheField(float repetition, float presence, float frequency)
    {
        float[] logits = [1.5f, 1.25f, -0.5f, 1.125f, -0.75f, 1.0625f];
        int[] prompt = [0, 0, 2, 3];
        int[] generated = [1, 1, 1, 3, 4];
        for (int target = 0; target < logits.Length; target++)
        {
            // A probe of a known score stands in for one token at a time: greedy says which side of it every other token is on.
            SamplingOptions options = new() { Greedy = true, RepetitionPenalty = repetition, PresencePenalty = presence, FrequencyPenalty = frequency };
            IEnumerable<int> others = Enumerable.Range(0, logits.Length).Where(id => id != target);
            SamplingOptions only = options with { LogitBias = others.ToDictionary(id => id, _ => float.NegativeInfinity) };
            SamplingOptions unfiltered = options with { Greedy = false, Temperature = 1, TopK = 0, TopP = 1, MinP = 0 };
            Dictionary<int, double> naive = NaiveChain.Run([.. logits, 0], unfiltered, prompt, generated);
            double score = Math.Log(naive[target] / naive[logits.Length]);
            foreach (float offset in (float[])[-1e-4f, 1e-4f])
            {
                var sampler = new Sampler(only, logits.Length + 1, null);
                foreach (int id in prompt)
                {
                    sampler.Accept(id, generated: false);
                }

                foreach (int id in generated)
                {
                    sampler.Accept(id, generated: true);
                }

                Assert.Equal(offset < 0 ? target : logits.Length, sampler.Sample([.. logits, (float)score + offset]));
            }
        }
    }

    // Risk: greedy takes another than the lowest id of equals, whichever vector lane they are in.
    [Fact]
    public void GreedyTakesTheLowestIdOfEquals()
    {
        foreach (SamplingOptions options in (SamplingOptions[])[new() { Greedy = true }, new() { Temperature = 0 }])
        {
            var sampler = new Sampler(options, 1000, null);
            for (int id = 0; id < 999; id++)
            {
                var logits = new float[1000];
                Array.Fill(logits, -1);
                logits[id] = logits[^1] = 7;
                Assert.Equal(id, sampler.Sample(logits));
            }
        }
    }

    // Risk: a tiny temperature turns 0 / 0 into NaN weights and the draw into the last token.
    [Fact]
    public void TheTiniestTemperatureIsGreedy()
    {
        var sampler = new Sampler(Plain with { Temperature = float.Epsilon }, 4, null);
        Assert.All(Enumerable.Range(0, 50), _ => Assert.Equal(2, sampler.Sample([1f, float.NegativeInfinity, 1.5f, 1.4f])));
    }

    // Risk: a padding row or an ignored end of text comes through by its logit or by a bias.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ForbiddenIdsNeverWin(bool greedy)
    {
        SamplingOptions options = Plain with { Greedy = greedy, Temperature = Flat, LogitBias = new Dictionary<int, float> { [1] = 1000, [3] = float.NegativeInfinity } };
        var sampler = new Sampler(options, 5, id => id is 0 or 1);
        for (int i = 0; i < 200; i++)
        {
            Assert.Contains(sampler.Sample([100, 1, 2, 50, 1]), (int[])[2, 4]);
        }
    }

    [Fact]
    public void NothingLeftToChooseIsRefused()
    {
        var bias = new Dictionary<int, float> { [2] = float.NegativeInfinity };
        var error = Assert.Throws<XlstmException>(() => new Sampler(Plain with { LogitBias = bias }, 3, id => id < 2));
        Assert.StartsWith("no token can be chosen", error.Message, StringComparison.Ordinal);
        var sampler = new Sampler(Plain, 3, id => id < 2);
        error = Assert.Throws<XlstmException>(() => sampler.Sample([1, 2, float.NegativeInfinity]));
        Assert.StartsWith("no token can be chosen", error.Message, StringComparison.Ordinal);
    }

    // Risk: NaN or infinity is sampled from, or hides in a lane, in the tail or behind a forbidden id.
    [Theory]
    [InlineData(float.NaN, "NaN")]
    [InlineData(float.PositiveInfinity, "infinity")]
    public void LogitsThatAreNoNumbersAreRefused(float logit, string word)
    {
        foreach (SamplingOptions options in (SamplingOptions[])[new(), new() { Greedy = true }])
        {
            var sampler = new Sampler(options, 331, id => id == 330);
            for (int id = 0; id < 331; id++)
            {
                var logits = new float[331];
                logits[id] = logit;
                var error = Assert.Throws<XlstmException>(() => sampler.Sample(logits));
                Assert.StartsWith($"the model produced {word}: the logit of token {id} ", error.Message, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void BiasThatOverflowsIsRefused()
    {
        var sampler = new Sampler(Plain with { LogitBias = new Dictionary<int, float> { [1] = float.MaxValue } }, 2, null);
        Assert.Contains("token 1 infinite", Assert.Throws<XlstmException>(() => sampler.Sample([0, float.MaxValue])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void BiasOfAnIdBeyondTheVocabularyIsRefused()
    {
        SamplingOptions options = Plain with { LogitBias = new Dictionary<int, float> { [10] = 1 } };
        var error = Assert.Throws<XlstmException>(() => new Sampler(options, 10, null));
        Assert.Equal("logit bias must be for a token id below 10, the size of the model's vocabulary, found 10", error.Message);
    }

    // Risk: state left from one call (padding, candidates) leaks into the next, so that equal seeds part.
    [Fact]
    public void EqualSeedsDrawEqualTokensAndOthersDoNot()
    {
        float[] logits = Gaussian(new Random(17), 3001, 1);
        int[] Draw(ulong? seed, int topK)
        {
            var sampler = new Sampler(Plain with { Seed = seed, TopK = topK, TopP = 0.97f }, logits.Length, null);
            return [.. Enumerable.Range(0, 50).Select(_ => sampler.Sample(logits))];
        }

        foreach (int topK in (int[])[0, 50, 1000])
        {
            Assert.Equal(Draw(1, topK), Draw(1, topK));
            Assert.NotEqual(Draw(1, topK), Draw(2, topK));
            Assert.NotEqual(Draw(null, topK), Draw(null, topK));
        }
    }

    // Risk: a chain that was fine in size allocates for every token.
    [Theory]
    [InlineData(false, 40)]
    [InlineData(false, 0)]
    [InlineData(true, 0)]
    public void ChoosingAllocatesNothing(bool greedy, int topK)
    {
        float[] logits = Gaussian(new Random(19), 5000, 2);
        SamplingOptions options = new() { Greedy = greedy, TopK = topK, RepetitionPenalty = 1.1f, PresencePenalty = 0.1f, LogitBias = new Dictionary<int, float> { [1] = 1 } };
        var sampler = new Sampler(options, logits.Length, id => id > 4990);
        long Run()
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 50; i++)
            {
                sampler.Accept(sampler.Sample(logits), generated: true);
            }

            return GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Run();
        Assert.Equal(0, Run());
    }

    // Risk: a draw that a later .NET or another processor would make differently. Worked out by a second implementation.
    [Fact]
    public void RandomNumbersAreThoseOfTheReference()
    {
        var zero = new Xoshiro256(0);
        Assert.Equal([11091344671253066420UL, 13793997310169335082UL, 1900383378846508768UL], Enumerable.Range(0, 3).Select(_ => zero.NextUInt64()));
        var random = new Xoshiro256(1234567);
        Assert.All(Enumerable.Range(0, 1000), _ => Assert.InRange(random.NextDouble(), 0, 1 - (1.0 / (1UL << 53))));
    }

    // Risk: a token chosen from the highest logits alone is another than all logits give, so that a device's text differs.
    [Fact]
    public void AShortlistGivesTheDrawsOfAllLogits()
    {
        var random = new Random(11);
        for (int round = 0; round < 200; round++)
        {
            int count = random.Next(2, 300);
            var forbidden = new TokenMask(count, id => id > 0 && random.Next(10) == 0);
            SamplingOptions options = new()
            {
                Greedy = random.Next(4) == 0,
                Temperature = random.Next(5) * 0.5f,
                TopK = random.Next(1, 50),
                TopP = random.Next(2) == 0 ? 1 : 0.05f + (0.9f * random.NextSingle()),
                MinP = random.Next(2) * 0.1f,
                Seed = (ulong)round,
            };
            Sampler ofAll = new(options, count, forbidden.Contains), ofBest = new(options, count, forbidden.Contains);
            var shortlist = new Shortlist(ofBest.Decisive, forbidden);
            for (int draw = 0; draw < 20; draw++)
            {
                float[] logits = round % 2 == 0 ? Gaussian(random, count, 2) : [.. Enumerable.Range(0, count).Select(_ => (float)random.Next(-2, 9) / 2)];
                ShortlistBackend.Fill(shortlist, logits);
                Assert.Equal(ofAll.Sample(logits), ofBest.Sample(shortlist));
            }
        }
    }

    // Risk: a sampler that looks at tokens beyond a shortlist is given one.
    [Fact]
    public void PenaltiesBiasAndNoTopKNeedAllLogits()
    {
        Assert.Equal(1, new Sampler(new SamplingOptions { Greedy = true }, 9, null).Decisive);
        Assert.Equal(7, new Sampler(new SamplingOptions { TopK = 7 }, 9, null).Decisive);
        Assert.All<SamplingOptions>(
            [
                new() { TopK = 0 },
                new() { Greedy = true, RepetitionPenalty = 1.1f },
                new() { Greedy = true, PresencePenalty = 1 },
                new() { Greedy = true, LogitBias = new Dictionary<int, float> { [1] = 2 } },
            ],
            options => Assert.Equal(0, new Sampler(options, 9, null).Decisive));
    }
}
