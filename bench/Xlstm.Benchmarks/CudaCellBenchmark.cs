using System.Globalization;
using Xlstm.Backends.Cuda;
using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints;

namespace Xlstm.Benchmarks;

/// <summary>The cell's step alone, all blocks of a model one after the other: how near it comes to the bandwidth of a copy.</summary>
internal static class CudaCellBenchmark
{
    private const int Passes = 4;

    /// <param name="args">[--like SIZE] [--batches 1,8,32,128].</param>
    public static int Run(string[] args)
    {
        string Option(string name, string otherwise) => Array.IndexOf(args, name) is >= 0 and var i && i + 1 < args.Length ? args[i + 1] : otherwise;
        XlstmConfig config = KnownSizes.Resolve(Option("--like", "xlstm-7b"));
        int[] batches = [.. Option("--batches", "1,8,32,128").Split(',').Select(n => int.Parse(n, CultureInfo.InvariantCulture))];
        CudaDevice device = CudaDevice.Get(0);
        double copy = CudaBenchmark.CopyBandwidth(device);
        Console.WriteLine($"{device.Name}; device copy {copy:f0} GB/s read + written");
        foreach (StateFormat format in Enum.GetValues<StateFormat>())
        {
            foreach (int batch in batches)
            {
                Measure(device, config, format, batch, copy);
            }
        }

        return 0;
    }

    private static unsafe void Measure(CudaDevice device, XlstmConfig config, StateFormat format, int batch, double copy)
    {
        using var context = new CudaContext(device);
        using var stream = new CudaStream(context);
        using var kernels = new KernelSet(context, WeightFormat.BFloat16, format);
        var layout = new CudaStateLayout(config, format);
        int ld = (2 * config.QkDim) + (2 * config.VDim);
        using var arena = new DeviceArena(
            context, stream, "the cell's benchmark", batch * layout.ByteLength, batch * (long)sizeof(CellItem), sizeof(float) * (long)batch * ld, sizeof(float) * (long)batch * 2 * config.NumHeads,
            sizeof(float) * (long)batch * config.VDim, sizeof(float) * (long)batch * config.QkDim, sizeof(float) * (long)batch * config.NumHeads);
        CellItem[] items = [.. Enumerable.Range(0, batch).Select(i => new CellItem { State = arena[0] + (ulong)(i * layout.ByteLength), FirstRow = i, Tokens = 1 })];
        fixed (CellItem* table = items)
        {
            stream.Upload(arena[1], table, batch * sizeof(CellItem));
            stream.Synchronize();
        }

        var cell = new CellStep(config, context, kernels, format);
        void Pass()
        {
            for (int block = 0; block < config.NumBlocks; block++)
            {
                var arguments = new CellArguments
                {
                    Items = arena[1],
                    Qkvo = arena[2],
                    Gates = arena[3],
                    H = arena[4],
                    NewN = arena[5],
                    NewM = arena[6],
                    BlockOffset = layout.BlockFloats(block),
                    Stride = ld,
                    Heads = config.NumHeads,
                    Dqk = config.QkHeadDim,
                    Dv = config.VHeadDim,
                    GateCap = config.GateSoftCap ?? 0,
                    Eps = config.Eps,
                };
                cell.Launch(stream, arguments, batch);
            }
        }

        using CudaGraph graph = stream.Capture(context, Pass);
        using CudaEvent begin = new(context), end = new(context);
        stream.Launch(graph);
        begin.Record(stream);
        for (int i = 0; i < Passes; i++)
        {
            stream.Launch(graph);
        }

        end.Record(stream);
        end.Synchronize();
        double seconds = end.MillisecondsSince(begin) / 1e3 / Passes;
        double bytes = 2.0 * batch * config.NumBlocks * (layout.MatrixBytes + layout.VectorBytes);
        Console.WriteLine($"cell, {format,-8} states, batch {batch,-4} {seconds * 1e3,9:f3} ms, {seconds * 1e6 / config.NumBlocks,8:f2} us a block, {bytes / seconds / 1e9,6:f0} GB/s = {bytes / seconds / 1e7 / copy:f1} % of the copy");
    }
}
