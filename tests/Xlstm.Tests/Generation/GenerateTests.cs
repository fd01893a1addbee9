using Xunit;

namespace Xlstm.Tests.Generation;

/// <summary>From logits to text on the demo model: what ends a generation, what a session holds after it, batches, allocation.</summary>
public sealed class GenerateTests(DemoModelTests.LoadedDemo demo) : IClassFixture<DemoModelTests.LoadedDemo>
{
    private static readonly SamplingOptions Greedy = new() { Greedy = true };

    private readonly CancellationToken _cancellation = TestContext.Current.CancellationToken;

    [Fact]
    public async Task BreakingOffAndGoingOnGivesTheSameTokens()
    {
        int[] whole = await Ids("Once upon a time", new GenerationOptions { MaxNewTokens = 30, Sampling = Greedy });
        using Session session = demo.Model.CreateSession();
        session.Append("Once upon a time");
        var ids = new List<int>();
        var options = new GenerationOptions { MaxNewTokens = 30, Sampling = Greedy };
        await foreach (GeneratedToken token in session.GenerateAsync(options, _cancellation))
        {
            ids.Add(token.Id);
            if (ids.Count == 11)
            {
                break;
            }
        }

        await foreach (GeneratedToken token in session.GenerateAsync(options with { MaxNewTokens = 19 }, _cancellation))
        {
            ids.Add(token.Id);
        }

        Assert.Equal(whole, ids);
        Assert.Equal(whole, session.Tokens.Skip(session.Tokens.Count - 30));
    }

    [Fact]
    public async Task AStopStringEndsTheTextBeforeIt()
    {
        string text = await Text("Once upon a time", new GenerationOptions { MaxNewTokens = 60, Sampling = Greedy });
        string stop = text[20..26];
        (string stopped, FinishReason reason) = await TextAndReason("Once upon a time", new GenerationOptions { MaxNewTokens = 60, Sampling = Greedy, StopStrings = [stop] });
        Assert.Equal(text[..text.IndexOf(stop, StringComparison.Ordinal)], stopped);
        Assert.Equal(FinishReason.StopString, reason);
    }

    [Fact]
    public async Task EndOfTextEndsAndIsNotPartOfTheSession()
    {
        var bias = new Dictionary<int, float> { [demo.Model.EndOfText] = 1000 };
        var options = new GenerationOptions { MaxNewTokens = 10, Sampling = Greedy with { LogitBias = bias } };
        using Session session = demo.Model.CreateSession();
        session.Append("Once");
        int before = session.Tokens.Count;
        var made = new List<GeneratedToken>();
        await foreach (GeneratedToken token in session.GenerateAsync(options, _cancellation))
        {
            made.Add(token);
        }

        Assert.Equal((demo.Model.EndOfText, "", FinishReason.EndOfText), (Assert.Single(made).Id, made[0].Text, made[0].FinishReason));
        Assert.Equal(before, session.Tokens.Count);
        Assert.Equal(10, (await Ids("Once", options with { IgnoreEndOfText = true })).Length);
    }

    [Fact]
    public async Task AnEmptySessionStartsWithBeginOfText()
    {
        using Session session = demo.Model.CreateSession();
        await foreach (GeneratedToken token in session.GenerateAsync(new GenerationOptions { MaxNewTokens = 3, Sampling = Greedy }, _cancellation))
        {
            Assert.InRange(token.Id, 0, 4095);
        }

        Assert.Equal((demo.Model.BeginOfText, 4), (session.Tokens[0], session.Tokens.Count));
    }

    [Fact]
    public async Task ABatchMakesWhatEverySessionMakesAlone()
    {
        string[] prompts = ["Once upon a time", "The", "\"I do not like it,\" said the", string.Concat(Enumerable.Repeat("It was a dark and stormy night; ", 40)), ""];
        int[] lengths = [12, 3, 25, 8, 0];
        var options = prompts.Select((_, i) => new GenerationOptions { MaxNewTokens = lengths[i], Sampling = new SamplingOptions { Seed = (ulong)i } }).ToArray();
        var batch = new BatchGenerator(demo.Model);
        using var sessions = new DisposableList<Session>(prompts.Select(_ => demo.Model.CreateSession()));
        var made = sessions.ToDictionary(session => session, _ => new List<int>());
        int added = 0;
        for (int step = 0; added < prompts.Length || batch.Count > 0; step++)
        {
            // They come one by one while others are under way.
            if (added < prompts.Length && step % 2 == 0)
            {
                batch.Add(sessions[added], [demo.Model.BeginOfText, .. demo.Model.Tokenizer!.Encode(prompts[added])], options[added]);
                added++;
            }

            foreach (BatchToken token in await batch.StepAsync(_cancellation))
            {
                made[token.Session].Add(token.Token.Id);
            }
        }

        for (int i = 0; i < prompts.Length; i++)
        {
            Assert.Equal(await Ids(prompts[i], options[i]), made[sessions[i]]);
        }
    }

    [Fact]
    public async Task CancellationComesBetweenTokensAndTheSessionGoesOn()
    {
        using Session session = demo.Model.CreateSession();
        session.Append("Once upon a time");
        using var stop = new CancellationTokenSource();
        var ids = new List<int>();
        var options = new GenerationOptions { MaxNewTokens = 20, Sampling = Greedy };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (GeneratedToken token in session.GenerateAsync(options, stop.Token))
            {
                ids.Add(token.Id);
                if (ids.Count == 7)
                {
                    await stop.CancelAsync();
                }
            }
        });
        await foreach (GeneratedToken token in session.GenerateAsync(options with { MaxNewTokens = 13 }, _cancellation))
        {
            ids.Add(token.Id);
        }

        Assert.Equal(await Ids("Once upon a time", options), ids);
    }

    [Fact]
    public void AnIdOutsideTheVocabularyIsRefusedAndNothingIsFed()
    {
        using Session session = demo.Model.CreateSession();
        XlstmException e = Assert.Throws<XlstmException>(() => session.Append([0, 5, 4096]));
        Assert.Equal("token id 4096 is not in the vocabulary: ids go from 0 to 4095", e.Message);
        Assert.Empty(session.Tokens);
    }

    private async Task<int[]> Ids(string prompt, GenerationOptions options)
    {
        using Session session = demo.Model.CreateSession();
        session.Append(prompt);
        var ids = new List<int>();
        await foreach (GeneratedToken token in session.GenerateAsync(options, _cancellation))
        {
            ids.Add(token.Id);
        }

        return [.. ids];
    }

    private async Task<string> Text(string prompt, GenerationOptions options) => (await TextAndReason(prompt, options)).Text;

    private async Task<(string Text, FinishReason Reason)> TextAndReason(string prompt, GenerationOptions options)
    {
        using Session session = demo.Model.CreateSession();
        session.Append(prompt);
        string text = "";
        FinishReason reason = FinishReason.None;
        await foreach (GeneratedToken token in session.GenerateAsync(options, _cancellation))
        {
            text += token.Text;
            reason = token.FinishReason;
        }

        return (text, reason);
    }
}
