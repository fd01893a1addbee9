using Xlstm.Tests.Sessions;
using Xunit;

namespace Xlstm.Tests.Generation;

/// <summary>Risk: text changes, or logits that are asked for afterwards are wrong, where a device hands out the highest logits only.</summary>
public class ShortlistTests
{
    private const string Prompt = "Once upon a time there was";

    public static TheoryData<SamplingOptions> Samplings =>
        new(
            new SamplingOptions { Greedy = true },
            new SamplingOptions { Seed = 3 },
            new SamplingOptions { Seed = 4, Temperature = 1.5f, TopK = 64, TopP = 1, MinP = 0 },
            new SamplingOptions { Seed = 5, TopK = 0 },
            new SamplingOptions { Greedy = true, RepetitionPenalty = 1.2f });

    [Theory]
    [MemberData(nameof(Samplings))]
    public async Task TextIsTheSame(SamplingOptions sampling)
    {
        (XlstmModel model, ShortlistBackend backend) = ShortlistBackend.Load(TestData.DemoModel);
        using (model)
        {
            // Log probabilities need every logit.
            var options = new GenerationOptions { MaxNewTokens = 40, Sampling = sampling };
            int[] expected = await GenerateAsync(model, options with { TopLogProbabilities = 1 });
            Assert.Equal(0, backend.Made);
            Assert.Equal(expected, await GenerateAsync(model, options));
            Assert.Equal(sampling.TopK > 0 && sampling.RepetitionPenalty == 1, backend.Made > 0);
        }
    }

    [Fact]
    public async Task BatchesMakeTheSameText()
    {
        (XlstmModel model, ShortlistBackend backend) = ShortlistBackend.Load(TestData.DemoModel);
        using (model)
        {
            GenerationOptions[] options =
            [
                new() { MaxNewTokens = 20, Sampling = new SamplingOptions { Greedy = true } },
                new() { MaxNewTokens = 25, Sampling = new SamplingOptions { Seed = 8 } },
                new() { MaxNewTokens = 15, Sampling = new SamplingOptions { Seed = 9 }, TopLogProbabilities = 2 },
            ];
            var batch = new BatchGenerator(model);
            Session[] sessions = [.. options.Select(_ => model.CreateSession())];
            var made = sessions.ToDictionary(session => session, _ => new List<int>());
            for (int i = 0; i < sessions.Length; i++)
            {
                batch.Add(sessions[i], [model.BeginOfText, .. model.Tokenizer!.Encode(Prompt)], options[i]);
            }

            while (batch.Count > 0)
            {
                foreach (BatchToken token in await batch.StepAsync(TestContext.Current.CancellationToken))
                {
                    made[token.Session].Add(token.Token.Id);
                }
            }

            Assert.True(backend.Made > 0);
            for (int i = 0; i < sessions.Length; i++)
            {
                Assert.Equal(await GenerateAsync(model, options[i] with { TopLogProbabilities = 1 }), made[sessions[i]]);
                sessions[i].Dispose();
            }
        }
    }

    [Fact]
    public async Task LogitsCanBeAskedForAfterEveryToken()
    {
        (XlstmModel model, _) = ShortlistBackend.Load(TestData.DemoModel);
        using (model)
        {
            using Session session = model.CreateSession(), naive = model.CreateSession();
            session.Append(Prompt);
            naive.Append(Prompt);
            var options = new GenerationOptions { MaxNewTokens = 6, Sampling = new SamplingOptions { Greedy = true } };
            await foreach (GeneratedToken token in session.GenerateAsync(options, TestContext.Current.CancellationToken))
            {
                // The token waits: the session's state, its snapshots and forks are those before it.
                using Snapshot snapshot = session.Snapshot();
                using Session fork = session.Fork();
                Assert.Equal(naive.Logits.ToArray(), snapshot.Mark!.Logits);
                naive.Append([token.Id]);
                Assert.Equal(naive.Logits.ToArray(), fork.Logits.ToArray());
            }

            Assert.Equal(naive.Logits.ToArray(), session.Logits.ToArray());
        }
    }

    private static async Task<int[]> GenerateAsync(XlstmModel model, GenerationOptions options)
    {
        using Session session = model.CreateSession();
        session.Append(Prompt);
        var ids = new List<int>();
        await foreach (GeneratedToken token in session.GenerateAsync(options, TestContext.Current.CancellationToken))
        {
            ids.Add(token.Id);
        }

        return [.. ids];
    }
}
