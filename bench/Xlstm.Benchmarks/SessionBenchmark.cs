using System.Diagnostics;
using System.Globalization;
using Xlstm.Backends.Cpu;
using Xlstm.Checkpoints;

namespace Xlstm.Benchmarks;

/// <summary>
/// What going back, forking, saving and caching cost, beside what the machine's memory and disk allow: medians, on a state of
/// the 7B's shape (with narrow weights, which none of it depends on) and on the demo model. docs/benchmarks/sessions.md.
/// </summary>
internal static class SessionBenchmark
{
    private const int PrefixTokens = 4096;
    private const int QuestionTokens = 32;
    private const int LongTokens = 100_000;

    /// <summary>QK and VD of the 7B from a D of 64.</summary>
    private static readonly XlstmConfig SevenBillionState = new()
    {
        EmbeddingDim = 64,
        NumBlocks = 32,
        NumHeads = 8,
        VocabSize = 50304,
        QkDimFactor = 32,
        VDimFactor = 64,
        FfnProjFactor = 1,
    };

    public static int Run(string[] arguments)
    {
        string folder = Path.Combine(Path.GetTempPath(), "xlstm-bench-" + Path.GetRandomFileName());
        Directory.CreateDirectory(folder);
        try
        {
            // On a GPU the 7B itself is quick enough to read prompts; on a CPU its state is what counts.
            bool onGpu = arguments.Contains("--gpu");
            var options = new LoadOptions { Device = onGpu ? "cuda" : "cpu" };
            using XlstmModel demo = XlstmModel.Load(Path.Combine("models", "demo"), options);
            if (arguments.Contains("--long"))
            {
                Memory(demo);
                return 0;
            }

            using (Checkpoint checkpoint = Synthesizer.Open(onGpu ? KnownSizes.Resolve("xlstm-7b") : SevenBillionState))
            using (XlstmModel large = XlstmModel.Load(checkpoint, options))
            {
                States("7B-shaped state", large, folder, repeats: 15);
                if (onGpu)
                {
                    Prefix(large, folder);
                }
            }

            States("demo", demo, folder, repeats: 200);
            Prefix(demo, folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        return 0;
    }

    private static void States(string name, XlstmModel model, string folder, int repeats)
    {
        Console.WriteLine($"## {name}: {model.StateBytes / 1e6:F3} MB ({model.StateBytes / 1048576.0:F2} MiB) a state; {model.Device}");
        using Session session = model.CreateSession(new SnapshotPolicy { Interval = 0, ByteBudget = 4 * (model.StateBytes + (1 << 20)) });
        session.Append([0, 1, 2, 3]);
        string file = Path.Combine(folder, "a.session");
        byte[] raw = new byte[model.StateBytes];
        Random.Shared.NextBytes(raw);

        var copyTarget = new byte[raw.Length];
        double copy = Row("copy of as many bytes (memory)", model.StateBytes, repeats, () => raw.AsSpan().CopyTo(copyTarget));
        Row("Snapshot() itself", 0, repeats, () => session.Snapshot().Dispose());
        Row("Fork() itself", 0, repeats, () => session.Fork().Dispose());
        using Snapshot kept = session.Snapshot();
        Row("Restore() itself", 0, repeats, () => session.Restore(kept));
        Row("the copy when a shared state moves on", model.StateBytes, repeats, () => kept.Mark!.State.Share().Own().Release(), model.Backend is CpuBackend ? copy : null);
        Row("Append() of one token", 0, repeats, () => session.Append([1]));
        Row("Restore() + Append() of one token", 0, repeats, () =>
        {
            session.Restore(kept);
            session.Append([1]);
        });
        Undo(session, repeats);

        string rawFile = Path.Combine(folder, "raw");
        double write = Row("write of as many bytes, flushed (disk)", model.StateBytes, repeats, () => WriteRaw(rawFile, raw));
        Row("SaveAsync(), float32", model.StateBytes, repeats, () => session.SaveAsync(file).GetAwaiter().GetResult(), write);
        double read = Row("read of as many bytes (page cache)", model.StateBytes, repeats, () => ReadRaw(rawFile, raw));
        Row("LoadAsync(), float32", model.StateBytes, repeats, () => Session.LoadAsync(model, file).GetAwaiter().GetResult().Dispose(), read);
        Row("SaveAsync(), bfloat16", model.StateBytes / 2, repeats, () => session.SaveAsync(file, StateFormat.BFloat16).GetAwaiter().GetResult());
        Row("LoadAsync(), bfloat16", model.StateBytes / 2, repeats, () => Session.LoadAsync(model, file).GetAwaiter().GetResult().Dispose());
        Console.WriteLine();
    }

    /// <summary>A turn of chat is taken back: what was said before is there again, its last token still waiting.</summary>
    private static void Undo(Session session, int repeats)
    {
        var greedy = new GenerationOptions { MaxNewTokens = 4, Sampling = new SamplingOptions { Greedy = true }, IgnoreEndOfText = true };
        Generate();
        session.Mark();
        int turn = session.Tokens.Count;
        var times = new List<double>();
        for (int i = 0; i < Math.Min(repeats, 30); i++)
        {
            session.Append([1, 2, 3, 4, 5, 6, 7, 8]);
            Generate();
            times.Add(Seconds(() => session.Rewind(turn)));
        }

        Print("undo of the last turn", 0, times, null);

        void Generate()
        {
            foreach (GeneratedToken _ in session.GenerateAsync(greedy).ToBlockingEnumerable())
            {
            }
        }
    }

    private static void Prefix(XlstmModel model, string folder)
    {
        Console.WriteLine($"## time to first token, {PrefixTokens} tokens that the cache knows and {QuestionTokens} that it does not; {model.Device}");
        var random = new Random(1);
        int[] prefix = [0, .. Enumerable.Range(1, PrefixTokens - 1).Select(_ => random.Next(2, model.Config.VocabSize))];
        double without = Row("without the cache", 0, 5, () =>
        {
            using Session session = model.CreateSession();
            session.Append([.. prefix, .. Question()]);
        });
        using var cache = new PrefixCache(model);
        Fill(cache);
        double with = Row("with the cache, in memory", 0, 30, () => Ask(cache));
        double same = Row("with the cache, nothing new to read", 0, 30, () =>
        {
            using Session session = cache.CreateSession();
            session.Append(prefix);
        });
        string cacheFolder = Path.Combine(folder, "cache");
        using (var onDisk = new PrefixCache(model, new PrefixCacheOptions { Folder = cacheFolder }))
        {
            Fill(onDisk);
        }

        double disk = Row("with the cache, from its folder", 0, 15, () =>
        {
            using var onDisk = new PrefixCache(model, new PrefixCacheOptions { Folder = cacheFolder, FolderByteBudget = long.MaxValue });
            using Session session = onDisk.CreateSession();
            session.Append(prefix);
        });
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"factors: {without / with:F0} with {QuestionTokens} new tokens, {without / same:F0} with none, {without / disk:F0} from the folder"));

        int[] Question() => [.. Enumerable.Range(0, QuestionTokens).Select(_ => random.Next(2, model.Config.VocabSize))];

        void Fill(PrefixCache filled)
        {
            using Session session = filled.CreateSession();
            session.Append(prefix);
        }

        void Ask(PrefixCache asked)
        {
            using Session session = asked.CreateSession();
            session.Append([.. prefix, .. Question()]);
        }
    }

    private static void Memory(XlstmModel model)
    {
        using Session session = model.CreateSession();
        var options = new GenerationOptions { MaxNewTokens = 10, IgnoreEndOfText = true, Sampling = new SamplingOptions { Seed = 1 } };
        int made = session.GenerateAsync(options).ToBlockingEnumerable().Count();
        Report();
        made += session.GenerateAsync(options with { MaxNewTokens = LongTokens - made }).ToBlockingEnumerable().Count();
        Report();

        void Report()
        {
            long managed = GC.GetTotalMemory(forceFullCollection: true);
            using Process process = Process.GetCurrentProcess();
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{made} tokens: {managed / 1e6:F2} MB managed, {process.WorkingSet64 / 1e6:F1} MB resident, {model.StateBytes / 1e3:F0} kB of state"));
        }
    }

    private static void WriteRaw(string path, byte[] bytes)
    {
        using var handle = File.OpenHandle(path, FileMode.Create, FileAccess.Write, FileShare.None, FileOptions.None, bytes.Length);
        RandomAccess.Write(handle, bytes, 0);
        RandomAccess.FlushToDisk(handle);
    }

    private static void ReadRaw(string path, byte[] bytes)
    {
        using var handle = File.OpenHandle(path);
        RandomAccess.Read(handle, bytes, 0);
    }

    private static double Row(string what, long bytes, int repeats, Action action, double? against = null)
    {
        action();
        return Print(what, bytes, [.. Enumerable.Range(0, repeats).Select(_ => Seconds(action))], against);
    }

    private static double Print(string what, long bytes, List<double> seconds, double? against)
    {
        seconds.Sort();
        double median = seconds[seconds.Count / 2];
        string rate = bytes > 0 ? string.Create(CultureInfo.InvariantCulture, $", {bytes / median / 1e9:F2} GB/s") : "";
        string share = against is { } best ? string.Create(CultureInfo.InvariantCulture, $", {best / median:P0} of it") : "";
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what,-42} {median * 1e3,10:F3} ms (fastest {seconds[0] * 1e3:F3}){rate}{share}"));
        return median;
    }

    private static double Seconds(Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
