namespace Xlstm.Backends.Cuda;

/// <summary>What the rows of a batch become on their way through a model, in device memory.</summary>
internal sealed class RowsWorkspace : IDisposable
{
    private readonly DeviceArena _arena;

    /// <param name="parts">What passes work with.</param>
    /// <param name="matMul">Whose inputs it holds.</param>
    /// <param name="rows">Rows there is room for.</param>
    /// <param name="chunks">Chunks of prompts there is room for.</param>
    /// <param name="logitRows">Rows of logits there is room for.</param>
    /// <param name="cellParts">Sums of parts of a head there is room for, in which the cell's output may come.</param>
    public RowsWorkspace(StageParts parts, MatMul matMul, int rows, int chunks, int logitRows, int cellParts = 1)
    {
        (Rows, Chunks, CellParts) = (rows, chunks, cellParts);
        XlstmConfig config = parts.Config;
        _arena = new DeviceArena(parts.Context, parts.Stream, $"the workspace of {rows} tokens", Sizes(config, parts.Weights.ElementSize, rows, chunks, logitRows, cellParts));
        int width = CudaMatrix.Pad(config.EmbeddingDim);
        Inputs = new MatMulInputs(
            parts.Context,
            parts.Stream,
            matMul.InputBoxes,
            (Input, rows, width),
            (Input, rows, CudaMatrix.Pad(config.VDim)),
            (Ffn, rows, CudaMatrix.Pad(config.FfnDim)),
            (LogitInput, Math.Max(1, logitRows), width));
    }

    public int Rows { get; }

    public int Chunks { get; }

    public int CellParts { get; }

    /// <summary>Bytes of device memory.</summary>
    public long ByteLength => _arena.ByteLength;

    /// <summary>What products are made of, as they know it.</summary>
    public MatMulInputs Inputs { get; }

    /// <summary>The residual stream, float32 [rows, D].</summary>
    public ulong X => _arena[0];

    /// <summary>Input of a product: a norm's rows or the gated heads.</summary>
    public ulong Input => _arena[1];

    /// <summary>q | k | v | o, float32, or bfloat16 where the cell works in chunks.</summary>
    public ulong Qkvo => _arena[2];

    /// <summary>i | f, float32 [rows, 2 H].</summary>
    public ulong Gates => _arena[3];

    /// <summary>The cell's output, float32 [cell parts, rows, VD].</summary>
    public ulong H => _arena[4];

    /// <summary>silu(gate) up; its padding stays zero from the start.</summary>
    public ulong Ffn => _arena[5];

    public ulong NewN => _arena[6];

    public ulong NewM => _arena[7];

    /// <summary>Of the chunks of all items, bfloat16 [chunks, H, Chunk, Chunk]; and their scalars.</summary>
    public ulong Scores => _arena[8];

    public ulong ChunkScalars => _arena[9];

    /// <summary>The normed rows that logits are made of.</summary>
    public ulong LogitInput => _arena[10];

    /// <summary>float32 [logit rows, V].</summary>
    public ulong Logits => _arena[11];

    /// <summary>Parts of each item's heads that are done, uint [rows, H], zero between kernels.</summary>
    public ulong Arrived => _arena[12];

    /// <summary>Bytes that one takes.</summary>
    public static long Measure(XlstmConfig config, int elementSize, int rows, int chunks, int logitRows, int cellParts = 1) => DeviceArena.Measure(Sizes(config, elementSize, rows, chunks, logitRows, cellParts));

    /// <inheritdoc/>
    public void Dispose()
    {
        _arena.Dispose();
        Inputs.Dispose();
    }

    private static long[] Sizes(XlstmConfig c, int elementSize, int rows, int chunks, int logitRows, int cellParts) =>
    [
        Floats((long)rows * c.EmbeddingDim),
        (long)rows * Math.Max(CudaMatrix.Pad(c.EmbeddingDim), CudaMatrix.Pad(c.VDim)) * elementSize,
        Floats((long)rows * ((2 * c.QkDim) + (2 * c.VDim))),
        Floats((long)rows * 2 * c.NumHeads),
        Floats((long)rows * cellParts * c.VDim),
        (long)rows * CudaMatrix.Pad(c.FfnDim) * elementSize,
        Floats((long)rows * c.QkDim),
        Floats((long)rows * c.NumHeads),
        (long)chunks * c.NumHeads * RowsForward.Chunk * RowsForward.Chunk * sizeof(ushort),
        Floats((long)chunks * c.NumHeads * RowsForward.ChunkScalarFloats),
        (long)logitRows * CudaMatrix.Pad(c.EmbeddingDim) * elementSize,
        Floats((long)logitRows * c.VocabSize),
        sizeof(uint) * (long)rows * c.NumHeads,
    ];

    private static long Floats(long count) => sizeof(float) * count;
}
