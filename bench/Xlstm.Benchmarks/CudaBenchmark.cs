using System.Diagnostics;
using System.Globalization;
using Xlstm.Backends;
using Xlstm.Backends.Cuda;
using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Benchmarks;

/// <summary>A model of any size with random weights on a GPU: bandwidth of a copy, load, decode, prefill, batches.</summary>
internal static class CudaBenchmark
{
    /// <param name="args">[--like SIZE] [--model FOLDER] [--weights FORMAT] [--mix] [--state FORMAT] [--tokens N] [--batches 8,32] [--prefill 2048,16384] [--log].</param>
    public static int Run(string[] args)
    {
        string Option(string name, string otherwise) => Array.IndexOf(args, name) is >= 0 and var i && i + 1 < args.Length ? args[i + 1] : otherwise;
        int[] Numbers(string name, string otherwise) => [.. Option(name, otherwise).Split(',', StringSplitOptions.RemoveEmptyEntries).Select(n => int.Parse(n, CultureInfo.InvariantCulture))];
        StateFormat state = Enum.Parse<StateFormat>(Option("--state", "float32"), ignoreCase: true);
        CudaDevice device = CudaDevice.Get(0);
        Console.WriteLine($"{device.Name}, {device.Multiprocessors} multiprocessors, compute capability {device.Capability / 10}.{device.Capability % 10}; {state} states");
        double copy = CopyRate(device);
        Console.WriteLine($"device copy                 {copy,10:f0} GB/s read + written");

        long start = Stopwatch.GetTimestamp();
        string folder = Option("--model", "");
        using Checkpoint checkpoint = folder.Length > 0 ? Checkpoint.Open(folder) : Synthesizer.Open(KnownSizes.Resolve(Option("--like", "xlstm-7b")));
        string weights = Option("--weights", "");
        var recipe = new WeightRecipe(weights.Length > 0 ? Enum.Parse<WeightFormat>(weights, ignoreCase: true) : XlstmModel.DefaultFormat(checkpoint), args.Contains("--mix"));
        DevicePlace[] places = [.. ModelStage.Divide(Numbers("--stages", checkpoint.Config.NumBlocks.ToString(CultureInfo.InvariantCulture))).Select(stage => new DevicePlace(device, stage))];
        using CudaBackend backend = CudaBackend.Load(places, checkpoint, recipe, Environment.ProcessorCount, state);
        Console.WriteLine($"load                        {Stopwatch.GetElapsedTime(start).TotalSeconds,10:f2} s{(folder.Length > 0 ? "" : " (weights made up on the way)")}, {backend.Weights} weights {backend.WeightBytes / 1e9:f2} GB, workspace {backend.WorkspaceBytes / 1e9:f2} GB");
        if (args.Contains("--log"))
        {
            Console.WriteLine(backend.CompilerLog);
        }

        XlstmConfig config = checkpoint.Config;
        foreach (int tokens in Numbers("--tokens", "200"))
        {
            foreach (Output output in new[] { Output.LastLogits, Output.Shortlist })
            {
                Decode(backend, config, tokens, copy, output);
            }
        }

        foreach (int tokens in Numbers("--prefill", "128,2048,16384"))
        {
            Prefill(backend, config, tokens);
        }

        foreach (int size in Numbers("--batches", "2,8,32"))
        {
            Batch(backend, config, size, copy);
        }

        return 0;
    }

    /// <summary>GB/s, read and written.</summary>
    private static double CopyRate(CudaDevice device)
    {
        using var context = new CudaContext(device);
        return DeviceCopy.Measure(context, MemoryBandwidth.TrustedBytes).Best / 1e9;
    }

    private static void Decode(CudaBackend backend, XlstmConfig config, int tokens, double copy, Output output)
    {
        using RecurrentState state = backend.CreateState();
        var logits = new float[config.VocabSize];
        int[] id = [1];
        Shortlist greedy = Greedy(config);
        var times = new double[tokens];
        for (int i = -20; i < tokens; i++)
        {
            long start = Stopwatch.GetTimestamp();
            backend.Forward([new BatchItem(state, id, output, logits, greedy)]);
            id[0] = (id[0] * 31 + 7) % config.VocabSize;
            if (i >= 0)
            {
                times[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
            }
        }

        Array.Sort(times);
        double median = times[tokens / 2];
        double bytes = backend.StepWeightBytes + (2.0 * backend.StepStateBytes);
        Console.WriteLine($"decode, batch 1   {Wanted(output)}{1 / median,10:f1} tok/s, median {median * 1e3:f3} ms of {tokens}, {bytes / median / 1e9:f0} GB/s = {bytes / median / 1e7 / copy:f1} % of the copy");
    }

    private static void Prefill(CudaBackend backend, XlstmConfig config, int tokens)
    {
        int[] ids = [.. Enumerable.Range(0, tokens).Select(i => (int)(i * 7919L % config.VocabSize))];
        var logits = new float[config.VocabSize];
        double best = double.PositiveInfinity;
        for (int run = 0; run < 4; run++)
        {
            using RecurrentState state = backend.CreateState();
            long start = Stopwatch.GetTimestamp();
            for (int first = 0; first < tokens; first += backend.MaxBatchTokens)
            {
                int count = Math.Min(backend.MaxBatchTokens, tokens - first);
                backend.Forward([new BatchItem(state, ids.AsMemory(first, count), first + count == tokens ? Output.LastLogits : Output.None, logits)]);
            }

            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        Console.WriteLine($"prefill, {tokens,6} tokens      {tokens / best,10:f0} tok/s, {best * 1e3:f2} ms to the first token, best of 4; {2.0 * config.ParameterCount * tokens / best / 1e12:f0} TFLOP/s");
    }

    private static void Batch(CudaBackend backend, XlstmConfig config, int size, double copy)
    {
        var states = new RecurrentState[size];
        try
        {
            for (int i = 0; i < size; i++)
            {
                states[i] = backend.CreateState();
            }

            float[][] logits = [.. states.Select(_ => new float[config.VocabSize])];
            foreach (Output output in new[] { Output.None, Output.LastLogits, Output.Shortlist })
            {
                BatchItem[] items = [.. states.Select((state, i) => new BatchItem(state, new[] { i }, output, logits[i], Greedy(config)))];
                var times = new double[20];
                for (int i = -5; i < times.Length; i++)
                {
                    long start = Stopwatch.GetTimestamp();
                    backend.Forward(items);
                    if (i >= 0)
                    {
                        times[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
                    }
                }

                Array.Sort(times);
                double median = times[times.Length / 2];
                double bytes = backend.StepWeightBytes + (size * 2.0 * backend.StepStateBytes) - (output == Output.None ? 2.0 * config.VocabSize * config.EmbeddingDim : 0);
                Console.WriteLine($"decode, batch {size,-3} {Wanted(output)}{size / median,10:f0} tok/s, median {median * 1e3:f3} ms a step, {bytes / median / 1e9:f0} GB/s = {bytes / median / 1e7 / copy:f1} % of the copy");
            }
        }
        finally
        {
            Array.ForEach(states, state => state?.Dispose());
        }
    }

    private static string Wanted(Output output) => output switch { Output.None => "no logits ", Output.Shortlist => "    greedy", _ => "    logits" };

    private static Shortlist Greedy(XlstmConfig config) => new(wanted: 1, new TokenMask(config.VocabSize, _ => false));
}
