using System.Runtime.Intrinsics;
using Xlstm.Backends.Cpu.Kernels;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cpu;

/// <summary>A matrix product to make: <c>output = input W^T (+ bias) (+ output)</c>.</summary>
/// <param name="weights">W [rows, cols] and its bias.</param>
/// <param name="output">float32 [T, rows].</param>
/// <param name="stride">Floats from one row of the output to the next.</param>
/// <param name="accumulate">Add to what the output holds: the residual stream.</param>
internal readonly unsafe struct Product(LinearWeights weights, float* output, int stride, bool accumulate = false)
{
    public LinearWeights Weights { get; } = weights;

    public float* Output { get; } = output;

    public int Stride { get; } = stride;

    public bool Accumulate { get; } = accumulate;
}

/// <summary>Divides the panels of some products of the same input among the threads and walks each thread's share through the kernels.</summary>
internal sealed unsafe class PanelProducts(MatMulKernel kernel, int threads)
{
    private const int Lanes = PackedMatrix.PanelRows;

    /// <summary>The forms of the input that some layers need between them.</summary>
    public Encodings EncodingsOf(params ReadOnlySpan<LinearWeights> layers)
    {
        Encodings encodings = Encodings.None;
        foreach (LinearWeights layer in layers)
        {
            encodings |= kernel.EncodingOf(layer.Matrix.Format);
        }

        return encodings;
    }

    /// <summary>One thread's share: a contiguous range of the panels of all products together.</summary>
    /// <param name="worker">The thread.</param>
    /// <param name="input">The input [T, cols] in tiles, in the forms that the products need; complete.</param>
    /// <param name="tiles">How it is tiled.</param>
    /// <param name="products">The products; their outputs are complete only after a barrier.</param>
    public void Run(int worker, in TileInputs input, ActivationTiles tiles, ReadOnlySpan<Product> products)
    {
        int total = 0;
        foreach (ref readonly Product product in products)
        {
            total += product.Weights.Matrix.Panels;
        }

        (int first, int last) = WorkerPool.Share(total, worker, threads);
        int start = 0;
        foreach (ref readonly Product product in products)
        {
            int panels = product.Weights.Matrix.Panels;
            int from = Math.Max(first - start, 0), to = Math.Min(last - start, panels);
            if (from < to)
            {
                Run(product, from, to, input, tiles);
            }

            start += panels;
        }
    }

    private void Run(in Product product, int from, int to, in TileInputs input, ActivationTiles tiles)
    {
        const int Group = MatMulKernel.GroupPanels, Pair = MatMulKernel.WidePanels;
        float* result = stackalloc float[Lanes * Math.Max(Group * ActivationTiles.Narrow, Pair * ActivationTiles.Wide)];
        PackedMatrix matrix = product.Weights.Matrix;
        int wide = tiles.WideCount, all = tiles.Count;
        for (int panel = from; panel < to; panel += Group)
        {
            // A group of panels stays in cache while the tiles pass by, and a tile while the group's pairs do.
            for (int tile = 0; tile < wide; tile++)
            {
                (int first, int count, int width) = tiles[tile];
                for (int pair = panel; pair < Math.Min(panel + Group, to); pair += Pair)
                {
                    Multiply(matrix, At(matrix, pair, to), input, first, width, result);
                    Store(product, pair, Math.Min(Pair, to - pair), result, Pair, first, count);
                }
            }

            if (wide < all)
            {
                PanelGroup panels = At(matrix, panel, to);
                for (int tile = wide; tile < all; tile++)
                {
                    (int first, int count, int width) = tiles[tile];
                    Multiply(matrix, panels, input, first, width, result);
                    Store(product, panel, Math.Min(Group, to - panel), result, Group, first, count);
                }
            }
        }
    }

    private void Multiply(in PackedMatrix matrix, in PanelGroup panels, in TileInputs input, int firstToken, int width, float* result)
    {
        int cols = matrix.Cols;
        byte* tile = input.Tile(kernel.EncodingOf(matrix.Format), firstToken, cols);
        switch (matrix.Format)
        {
            case WeightFormat.Float32:
                kernel.Float32(panels, cols, (float*)tile, width, result);
                break;
            case WeightFormat.BFloat16:
                kernel.BFloat16(panels, cols, (float*)tile, width, result);
                break;
            case WeightFormat.Int8:
                kernel.Int8(panels, PackedMatrix.GroupCount(cols), tile, width, result);
                break;
            default:
                kernel.Int4(panels, PackedMatrix.GroupCount(cols), tile, width, result);
                break;
        }
    }

    /// <summary>The group of panels at <paramref name="panel"/>; places past the last panel repeat it, and their results are dropped.</summary>
    private static PanelGroup At(in PackedMatrix matrix, int panel, int end)
    {
        byte* p0 = matrix.Data + (panel * matrix.PanelBytes);
        long last = (end - 1 - panel) * matrix.PanelBytes;
        return new PanelGroup
        {
            P0 = p0,
            P1 = p0 + Math.Min(matrix.PanelBytes, last),
            P2 = p0 + Math.Min(2 * matrix.PanelBytes, last),
            P3 = p0 + Math.Min(3 * matrix.PanelBytes, last),
        };
    }

    private static void Store(in Product product, int firstPanel, int panels, float* result, int resultPanels, int firstToken, int tokens)
    {
        float* bias = product.Weights.Bias;
        for (int t = 0; t < tokens; t++)
        {
            float* output = product.Output + ((long)(firstToken + t) * product.Stride);
            for (int p = 0; p < panels; p++)
            {
                int row = (firstPanel + p) * Lanes;
                int count = product.Weights.Matrix.Rows - row;
                Vector512<float> value = Vector512.Load(result + (((t * resultPanels) + p) * Lanes));
                if (bias is not null)
                {
                    value += VectorMath.Load(bias + row, count);
                }

                if (product.Accumulate)
                {
                    value += VectorMath.Load(output + row, count);
                }

                VectorMath.Store(value, output + row, count);
            }
        }
    }
}
