using System.Globalization;
using Xlstm.Backends.Cuda;
using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints;

namespace Xlstm.Benchmarks;

/// <summary>A model's products over few rows, one kind at a time: each of a block's matrices, block after block, as one graph; how fast weights come from memory.</summary>
internal static class CudaProductsBenchmark
{
    private const int Times = 3;

    /// <param name="args">[--like SIZE] [--rows 8,32].</param>
    public static int Run(string[] args)
    {
        string Option(string name, string otherwise) => Array.IndexOf(args, name) is >= 0 and var i && i + 1 < args.Length ? args[i + 1] : otherwise;
        using Checkpoint checkpoint = Synthesizer.Open(KnownSizes.Resolve(Option("--like", "xlstm-7b")));
        using var context = new CudaContext(CudaDevice.Get(0));
        XlstmConfig config = checkpoint.Config;
        using CudaWeights weights = CudaWeightLoader.Load(checkpoint, WeightFormat.BFloat16, [(context, ModelStage.All(config))], Environment.ProcessorCount, null, default)[0];
        context.MakeCurrent();
        using var stream = new CudaStream(context);
        using var kernels = new KernelSet(context, WeightFormat.BFloat16, StateFormat.Float32);
        using var owned = new OwnedResources();
        var parts = new StageParts(owned, config, context, stream, ModelStage.All(config), weights, kernels, new CudaStateLayout(config, StateFormat.Float32));
        using (var matMul = new MatMul(parts))
        {
            foreach (int rows in Option("--rows", "8,32,64,128").Split(',').Select(n => int.Parse(n, CultureInfo.InvariantCulture)))
            {
                using var workspace = new RowsWorkspace(parts, matMul, rows, 0, rows);
                matMul.Load(rows);
                double Time(MatMulResult kind, Func<CudaBlockWeights, CudaMatrix> choose, MatMulInput input, ulong output, Func<CudaMatrix, int> stride)
                {
                    CudaMatrix[] matrices = [.. weights.Blocks.Select(choose).Distinct()];
                    using CudaGraph graph = stream.Capture(context, () =>
                    {
                        foreach (CudaMatrix matrix in matrices.Length > 1 ? matrices : [matrices[0], matrices[0], matrices[0]])
                        {
                            matMul.Run(kind, matrix, workspace.Inputs, input, output, rows, stride(matrix));
                        }
                    });
                    using CudaEvent begin = new(context), end = new(context);
                    stream.Launch(graph);
                    begin.Record(stream);
                    for (int i = 0; i < Times; i++)
                    {
                        stream.Launch(graph);
                    }

                    end.Record(stream);
                    end.Synchronize();
                    return end.MillisecondsSince(begin) * 1e3 / Times / Math.Max(3, matrices.Length);
                }

                void Print(string name, MatMulResult kind, Func<CudaBlockWeights, CudaMatrix> choose, MatMulInput input, ulong output, Func<CudaMatrix, int> stride)
                {
                    CudaMatrix matrix = choose(weights.Blocks[0]);
                    double microseconds = Time(kind, choose, input, output, stride);
                    Console.Write($" {name} {microseconds,6:f1} us {2e-3 * matrix.Rows * matrix.Stride / microseconds,5:f0} GB/s");
                }

                stream.Fill(workspace.Input, 0x3C, 2L * rows * CudaMatrix.Pad(config.VDim));
                stream.Fill(workspace.LogitInput, 0x3C, 2L * rows * CudaMatrix.Pad(config.EmbeddingDim));
                Console.Write($"{rows,4} rows:");
                Print("qkvo", MatMulResult.Store, b => b.Qkvo, MatMulInput.Norm, workspace.Qkvo, m => m.Rows);
                Print("out", MatMulResult.Add, b => b.OutProj, MatMulInput.Heads, workspace.X, _ => config.EmbeddingDim);
                Print("gate|up", MatMulResult.SwiGlu, b => b.GateUp, MatMulInput.Norm, workspace.Ffn, _ => CudaMatrix.Pad(config.FfnDim));
                Print("down", MatMulResult.Add, b => b.ProjDown, MatMulInput.Ffn, workspace.X, _ => config.EmbeddingDim);
                Print("lm_head", MatMulResult.Cap, _ => weights.LmHead, MatMulInput.Logits, workspace.Logits, m => m.Rows);
                Console.WriteLine();
            }
        }

        foreach (StateFormat format in new[] { StateFormat.Float32, StateFormat.BFloat16 })
        {
            foreach (int items in new[] { 8, 32, 128 })
            {
                Cell(context, stream, config, weights, format, items);
            }
        }

        return 0;
    }

    private static unsafe void Cell(CudaContext context, CudaStream stream, XlstmConfig config, CudaWeights weights, StateFormat format, int items)
    {
        using var kernels = new KernelSet(context, WeightFormat.BFloat16, format);
        var layout = new CudaStateLayout(config, format);
        using var owned = new OwnedResources();
        var parts = new StageParts(owned, config, context, stream, ModelStage.All(config), weights, kernels, layout);
        using var states = new DeviceBuffer(context, items * layout.ByteLength, "states");
        using var table = new DeviceBuffer(context, items * sizeof(CellItem), "items");
        using var host = new PinnedBuffer(context, items * sizeof(CellItem));
        for (int i = 0; i < items; i++)
        {
            ((CellItem*)host.Pointer)[i] = new CellItem { State = states.Address + (ulong)(i * layout.ByteLength), FirstRow = i, Tokens = 1 };
        }

        stream.Upload(table.Address, host.Pointer, host.ByteLength);
        stream.Fill(states.Address, 0x3C, states.ByteLength);
        if (CellStream.Create(config, context, kernels, format) is not { } cell)
        {
            return;
        }

        using var matMul = new MatMul(parts);
        using var workspace = new RowsWorkspace(parts, matMul, items, 0, 1, cell.Parts);
        stream.Fill(workspace.Qkvo, 0x3C, 4L * items * weights.Blocks[0].Qkvo.Rows);
        using CudaGraph graph = stream.Capture(context, () =>
        {
            for (int block = 0; block < config.NumBlocks; block++)
            {
                cell.Launch(
                    stream,
                    new CellStreamArguments
                    {
                        Items = table.Address,
                        Qkvo = workspace.Qkvo,
                        Gates = workspace.Gates,
                        Sums = workspace.H,
                        Arrived = workspace.Arrived,
                        Norm = weights.Blocks[block].MultiheadNorm.Weight,
                        NormBias = 0,
                        Out = workspace.Input,
                        BlockOffset = layout.BlockFloats(block),
                        Stride = weights.Blocks[0].Qkvo.Rows,
                        Heads = config.NumHeads,
                        Dqk = config.QkHeadDim,
                        Dv = config.VHeadDim,
                        Tokens = items,
                        Cols = CudaMatrix.Pad(config.VDim),
                        GateCap = config.GateSoftCap ?? 0,
                        Eps = config.Eps,
                        NormEps = config.NormEps,
                    },
                    items);
            }
        });
        using CudaEvent begin = new(context), end = new(context);
        stream.Launch(graph);
        begin.Record(stream);
        for (int i = 0; i < Times; i++)
        {
            stream.Launch(graph);
        }

        end.Record(stream);
        end.Synchronize();
        double seconds = end.MillisecondsSince(begin) / 1e3 / Times / config.NumBlocks;
        double bytes = 2.0 * items * layout.MatrixBytes;
        Console.WriteLine($"cell, {items} {format} states: {seconds * 1e6:f1} us a block, {bytes / seconds / 1e9:f0} GB/s");
    }
}
