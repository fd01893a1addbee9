using Xunit;

namespace Xlstm.Tests.Sessions;

/// <summary>Risk: a session that starts from the cache is another than one that reads everything; the cache keeps more than it may, or forgets what it should know.</summary>
public sealed class PrefixCacheTests(TinyModel tiny) : IClassFixture<TinyModel>
{
    private static readonly int[] Ids = Golden.Load(TinyModel.Name).InputIds;

    private long StateBytes => tiny.Model.StateBytes + (sizeof(float) * tiny.Model.Config.VocabSize);

    [Fact]
    public async Task TheSamePromptReadsNothingAgain()
    {
        using var cache = new PrefixCache(tiny.Model);
        int[] expected = tiny.NaiveGreedy(Ids[..50], 10);
        for (int i = 0; i < 3; i++)
        {
            using Session session = cache.CreateSession();
            var fed = new Fed();
            session.Append(Ids.AsSpan(0, 50), fed);
            Assert.Equal(i == 0 ? 1 : 0, fed.Reports);
            Assert.Equal(expected, await session.GreedyAsync(10));
        }

        PrefixCacheStatistics statistics = cache.Statistics;
        Assert.Equal((2, 1, 100, 1), (statistics.Hits, statistics.Misses, statistics.TokensSaved, statistics.States));
        Assert.Equal(StateBytes + (50 * sizeof(int)), statistics.ByteLength);
    }

    [Fact]
    public void PromptsThatPartMidwayMeetAtTheScheduleThenAtTheFork()
    {
        using var cache = new PrefixCache(tiny.Model, new PrefixCacheOptions { Interval = 20, MinimumTokens = 2 });
        int[] shared = Ids[..50];
        long[] saved = [0, 40, 50, 50];
        for (int i = 0; i < saved.Length; i++)
        {
            using Session session = cache.CreateSession();
            int[] prompt = [.. shared, i, .. Ids[60..70]];
            long before = cache.Statistics.TokensSaved;
            session.Append(prompt);
            Assert.Equal(saved[i], cache.Statistics.TokensSaved - before);
            tiny.AssertIsAt(prompt, session);
        }
    }

    [Fact]
    public void AConversationGoesOnFromItsLastTurn()
    {
        using var cache = new PrefixCache(tiny.Model, new PrefixCacheOptions { MinimumTokens = 2 });
        using Session first = cache.CreateSession();
        first.Append(Ids.AsSpan(0, 30));
        first.Append(Ids.AsSpan(30, 30));
        using Session second = cache.CreateSession();
        SyncReport report = second.SyncTo(Ids.AsSpan(0, 70));
        Assert.Equal((60, 10), (report.Reused, report.Fed));
        tiny.AssertIsAt(Ids[..70], second);
    }

    [Fact]
    public void TheLeastRecentlyUsedIsEvicted()
    {
        using var cache = new PrefixCache(tiny.Model, new PrefixCacheOptions { MinimumTokens = 2, ByteBudget = (2 * StateBytes) + 1000 });
        int[][] prompts = [[5, .. Ids[..20]], [6, .. Ids[..20]], [7, .. Ids[..20]]];
        Assert.Equal(0, Saved(cache, prompts[0]));
        Assert.Equal(0, Saved(cache, prompts[1]));
        Assert.Equal(21, Saved(cache, prompts[0]));
        Assert.Equal(0, Saved(cache, prompts[2]));
        Assert.Equal(21, Saved(cache, prompts[0]));
        Assert.Equal(0, Saved(cache, prompts[1]));
        Assert.Equal((2, 2L), (cache.Statistics.States, cache.Statistics.Evictions));
        Assert.InRange(cache.Statistics.ByteLength, 1, (2 * StateBytes) + 1000);
        cache.Clear();
        Assert.Equal((0, 0L), (cache.Statistics.States, cache.Statistics.ByteLength));
    }

    [Fact]
    public void AFolderOutlivesTheProcess()
    {
        using var folder = new TemporaryFolder();
        var options = new PrefixCacheOptions { Folder = Path.Combine(folder.Path, "cache"), Interval = 10, MinimumTokens = 2 };
        using (var cache = new PrefixCache(tiny.Model, options))
        {
            Saved(cache, Ids[..55]);
        }

        // The end and the last two of the schedule.
        Assert.Equal(3, Directory.GetFiles(options.Folder).Length);
        using (var cache = new PrefixCache(tiny.Model, options))
        {
            Assert.Equal((0, 3), (cache.Statistics.States, cache.Statistics.Files));
            Assert.Equal(40, Saved(cache, [.. Ids[..45], 3]));
            Assert.Equal(55, Saved(cache, Ids[..55]));
            Assert.Equal(55, Saved(cache, Ids[..60]));
        }

        // Another weight format has other states; a damaged file is as good as none.
        using XlstmModel other = TinyModel.Load(weights: WeightFormat.BFloat16);
        using (var cache = new PrefixCache(other, options))
        {
            Assert.Equal(0, cache.Statistics.Files);
        }

        foreach (string path in Directory.GetFiles(options.Folder))
        {
            byte[] file = File.ReadAllBytes(path);
            file[^30] ^= 1;
            File.WriteAllBytes(path, file);
        }

        using (var cache = new PrefixCache(tiny.Model, options with { FolderByteBudget = 0 }))
        {
            Assert.Equal(0, Saved(cache, Ids[..55]));
        }

        Assert.Empty(Directory.GetFiles(options.Folder));
    }

    [Fact]
    public async Task ManyThreadsShareOneCache()
    {
        using var folder = new TemporaryFolder();
        using var cache = new PrefixCache(
            tiny.Model, new PrefixCacheOptions { Interval = 9, MinimumTokens = 2, ByteBudget = 5 * StateBytes, Folder = folder.Path, FolderByteBudget = 10 * StateBytes });
        int[][] prompts = [.. Enumerable.Range(0, 6).Select(i => (int[])[.. Ids[..(10 * (1 + (i / 2)))], i, .. Ids[70..(75 + i)]])];
        float[][] expected = [.. prompts.Select(prompt => tiny.NaiveLogits(prompt))];
        await Task.WhenAll(Enumerable.Range(0, 4).Select(thread => Task.Run(() =>
        {
            var random = new Random(thread);
            for (int i = 0; i < 40; i++)
            {
                int index = random.Next(prompts.Length);
                using Session session = cache.CreateSession();
                session.Append(prompts[index]);
                Assert.Equal(expected[index], session.Logits.ToArray());
            }
        })));
        Assert.InRange(cache.Statistics.States, 1, 5);
        Assert.Equal(160, cache.Statistics.Hits + cache.Statistics.Misses);
        await cache.FlushAsync();
        Assert.Null(cache.Statistics.LastWriteError);
    }

    private long Saved(PrefixCache cache, int[] prompt)
    {
        long before = cache.Statistics.TokensSaved;
        using Session session = cache.CreateSession();
        session.Append(prompt);
        tiny.AssertIsAt(prompt, session);
        return cache.Statistics.TokensSaved - before;
    }

    private sealed class Fed : IProgress<int>
    {
        public int Reports { get; private set; }

        public void Report(int value) => Reports++;
    }
}
