using Xlstm.Backends;
using Xlstm.Backends.Cuda;
using Xlstm.Backends.Cuda.Interop;
using Xunit;

namespace Xlstm.Tests.Cuda;

/// <summary>Risks: the device leaves out one of the best tokens, hands out a forbidden one, hides a logit that is not a number; or a text changes by it.</summary>
[Collection(GpuTests.Name)]
public class CudaShortlistTests
{
    private const string Prompt = "Once upon a time there was";

    [Theory]
    [InlineData(5)]
    [InlineData(333)]
    [InlineData(4096)]
    [InlineData(50304)]
    public void TheBestAreOnTheList(int vocabSize)
    {
        var random = new Random(vocabSize);
        foreach (int wanted in new[] { 1, 2, 40, ShortlistKernel.MaxWanted })
        {
            var forbidden = new TokenMask(vocabSize, id => random.Next(7) == 0 || id == vocabSize - 1);
            float[][] rows = [.. Enumerable.Range(0, 3).Select(row => Enumerable.Range(0, vocabSize).Select(id => (random.NextSingle() - 0.5f) * 40).ToArray())];
            rows[1] = [.. rows[1].Select(logit => MathF.Round(logit))]; // many ties
            rows[2][random.Next(vocabSize)] = float.NegativeInfinity;
            rows[2][vocabSize - 1] = 1000;
            Shortlist[] lists = Run(rows, wanted, forbidden);
            for (int row = 0; row < rows.Length; row++)
            {
                float[] logits = rows[row];
                int[] allowed = [.. Enumerable.Range(0, vocabSize).Where(id => !forbidden.Contains(id) && !float.IsNegativeInfinity(logits[id])).OrderByDescending(id => logits[id])];
                float bound = allowed.Length == 0 ? 0 : logits[allowed[Math.Min(wanted, allowed.Length) - 1]];
                int[] needed = [.. allowed.Where(id => logits[id] >= bound)];
                if (lists[row].Count == 0)
                {
                    Assert.True(needed.Length == 0 || needed.Length > Shortlist.Capacity / 2, $"V {vocabSize}, {wanted} wanted, row {row}: no list, though {needed.Length} tokens would do");
                    continue;
                }

                int[] ids = lists[row].Ids.ToArray();
                Assert.Equal(ids.Order(), ids);
                Assert.Equal(ids.Select(id => logits[id]), lists[row].Logits.ToArray());
                Assert.Empty(needed.Except(ids));
                Assert.DoesNotContain(ids, forbidden.Contains);
            }
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void ALogitThatIsNotANumberLeavesNoList(float wrong)
    {
        float[] logits = [.. Enumerable.Range(0, 3000).Select(i => (float)i)];
        logits[1700] = wrong;

        // Even one that could not be chosen: it must not be covered up.
        Assert.Equal(0, Assert.Single(Run([logits], 3, new TokenMask(3000, id => id == 1700))).Count);
    }

    [Fact]
    public void ZerosOfEitherSignTie()
    {
        float[] logits = [.. Enumerable.Range(0, 2000).Select(i => i % 900 == 0 ? (i % 1800 == 0 ? -0f : 0f) : -1 - i)];
        Assert.Equal([0, 900, 1800], Assert.Single(Run([logits], 1, new TokenMask(2000, _ => false))).Ids.ToArray());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task TextIsThatOfAllLogits(bool batch)
    {
        _ = Gpu.Device;
        using XlstmModel model = XlstmModel.Load(TestData.DemoModel, new LoadOptions { Device = "cuda" });
        GenerationOptions[] options =
        [
            new() { MaxNewTokens = 60, Sampling = new SamplingOptions { Greedy = true }, IgnoreEndOfText = true },
            new() { MaxNewTokens = 50, Sampling = new SamplingOptions { Seed = 1 } },
            new() { MaxNewTokens = 40, Sampling = new SamplingOptions { Seed = 2, Temperature = 1.3f, TopK = 256, TopP = 1, MinP = 0 } },
            new() { MaxNewTokens = 40, Sampling = new SamplingOptions { Seed = 3, RepetitionPenalty = 1.1f } },
        ];

        // Log probabilities need every logit on the host.
        Assert.Equal(await GenerateAsync(model, [.. options.Select(o => o with { TopLogProbabilities = 1 })], batch), await GenerateAsync(model, options, batch));
    }

    /// <summary>The logits that stayed with one session's state are not another's, whatever ran between.</summary>
    [Fact]
    public async Task LogitsStayWithTheirState()
    {
        _ = Gpu.Device;
        using XlstmModel model = XlstmModel.Load(TestData.DemoModel, new LoadOptions { Device = "cuda" });
        using Session first = model.CreateSession(), second = model.CreateSession(), naive = model.CreateSession();
        first.Append(Prompt);
        naive.Append(Prompt);
        second.Append("The other one");
        var options = new GenerationOptions { MaxNewTokens = 8, Sampling = new SamplingOptions { Greedy = true }, IgnoreEndOfText = true };
        await foreach (GeneratedToken token in first.GenerateAsync(options, TestContext.Current.CancellationToken))
        {
            using Snapshot snapshot = second.Snapshot();
            await foreach (GeneratedToken other in second.GenerateAsync(options with { MaxNewTokens = 2 }, TestContext.Current.CancellationToken))
            {
                _ = other;
            }

            using Session fork = first.Fork();
            using Snapshot own = first.Snapshot();
            Assert.Equal(naive.Logits.ToArray(), own.Mark!.Logits);
            naive.Append([token.Id]);
            Assert.Equal(naive.Logits.ToArray(), fork.Logits.ToArray());
        }

        Assert.Equal(naive.Logits.ToArray(), first.Logits.ToArray());
    }

    [Fact]
    public void TheLastStageMakesTheList()
    {
        using CudaBackend backend = Gpu.LoadInStages(TestData.DemoModel, WeightFormat.BFloat16, 4, 6);
        int vocabSize = backend.Config.VocabSize;
        var forbidden = new TokenMask(vocabSize, id => id % 3 == 0);
        using RecurrentState state = backend.CreateState(), other = backend.CreateState(), naive = backend.CreateState();
        float[] logits = new float[vocabSize], kept = new float[vocabSize];
        foreach (int[] ids in new int[][] { [0, 17, 300, 4], [9], [80, 81] })
        {
            Shortlist first = new(5, forbidden), second = new(1, forbidden);
            backend.Forward([new BatchItem(naive, ids, Output.LastLogits, logits)]);
            backend.Forward([new BatchItem(state, ids, Output.Shortlist, default, first)]);
            backend.Forward([new BatchItem(other, new[] { 1, 2 }, Output.Shortlist, default, second)]);
            state.CopyLogitsTo(kept);
            Assert.Equal(logits, kept);
            Assert.Equal(
                Enumerable.Range(0, vocabSize).Where(id => !forbidden.Contains(id)).OrderByDescending(id => logits[id]).Take(5).Order(),
                first.Ids.ToArray().OrderByDescending(id => logits[id]).Take(5).Order());
            Assert.True(second.Count > 0);
        }
    }

    private static unsafe Shortlist[] Run(float[][] rows, int wanted, TokenMask forbidden)
    {
        int vocabSize = rows[0].Length;
        using var context = new CudaContext(Gpu.Device);
        using var stream = new CudaStream(context);
        using var kernels = new KernelSet(context, WeightFormat.Float32, StateFormat.Float32);
        using var kernel = new ShortlistKernel(context, stream, kernels, vocabSize, rows.Length);
        long rowBytes = sizeof(float) * (long)vocabSize;
        var arena = new DeviceArena(context, stream, "a test", rows.Length * rowBytes, rows.Length * rowBytes, rows.Length * sizeof(ShortlistItem));
        try
        {
            Shortlist[] lists = [.. rows.Select(_ => new Shortlist(wanted, forbidden))];
            float[] all = [.. rows.SelectMany(row => row)], kept = new float[all.Length];
            ShortlistItem[] items = [.. lists.Select((list, i) => kernel.Item(list, arena[1] + (ulong)(i * rowBytes), i, i))];
            fixed (void* logits = all, table = items, back = kept)
            {
                stream.Upload(arena[0], logits, rows.Length * rowBytes);
                stream.Upload(arena[2], table, rows.Length * sizeof(ShortlistItem));
                kernel.Launch(arena[0], arena[2], rows.Length);
                stream.Download(back, arena[1], rows.Length * rowBytes);
                stream.Synchronize();
            }

            Assert.Equal(all, kept);
            for (int i = 0; i < lists.Length; i++)
            {
                kernel.Take(lists[i], i);
            }

            return lists;
        }
        finally
        {
            arena.Dispose();
        }
    }

    private static async Task<int[][]> GenerateAsync(XlstmModel model, GenerationOptions[] options, bool batch)
    {
        var made = new List<List<int>>();
        var generator = new BatchGenerator(model);
        var sessions = new List<Session>();
        for (int i = 0; i < options.Length; i++)
        {
            made.Add([]);
            sessions.Add(model.CreateSession());
            generator.Add(sessions[i], [model.BeginOfText, .. model.Tokenizer!.Encode(Prompt)], options[i]);
            while (generator.Count > 0 && (!batch || i == options.Length - 1))
            {
                foreach (BatchToken token in await generator.StepAsync(TestContext.Current.CancellationToken))
                {
                    made[sessions.IndexOf(token.Session)].Add(token.Token.Id);
                }
            }
        }

        sessions.ForEach(session => session.Dispose());
        return [.. made.Select(ids => ids.ToArray())];
    }
}
