namespace Xlstm.Backends.Cuda;

/// <summary>
/// How a state lies in device memory, block after block: C [H][dqk][dv] in the format of the state, then n [H][dqk] and m [H] in
/// float32. C and n start at whole 16 bytes. Behind the last block lie the logits after the last token, float32 [V].
/// </summary>
internal sealed class CudaStateLayout
{
    private const int Alignment = 16;

    private readonly XlstmConfig _config;

    /// <param name="config">The model's sizes.</param>
    /// <param name="format">How C is held.</param>
    public CudaStateLayout(XlstmConfig config, StateFormat format)
    {
        (_config, Format) = (config, format);
        MatrixCount = (long)config.NumHeads * config.QkHeadDim * config.VHeadDim;
        VectorCount = (long)config.NumHeads * (config.QkHeadDim + 1);
        MatrixBytes = MatrixCount * format.MatrixElementSize();
        VectorOffset = Align(MatrixBytes);
        BlockBytes = Align(VectorOffset + VectorBytes);
    }

    /// <summary>How C is held.</summary>
    public StateFormat Format { get; }

    /// <summary>Elements of C of a block.</summary>
    public long MatrixCount { get; }

    /// <summary>Elements of n and m of a block.</summary>
    public long VectorCount { get; }

    public long MatrixBytes { get; }

    public long VectorBytes => sizeof(float) * VectorCount;

    /// <summary>Bytes from a block's start to its n.</summary>
    public long VectorOffset { get; }

    /// <summary>Bytes from one block to the next.</summary>
    public long BlockBytes { get; }

    /// <summary>Bytes of the logits.</summary>
    public long LogitBytes => sizeof(float) * (long)_config.VocabSize;

    /// <summary>Bytes of a whole state.</summary>
    public long ByteLength => (_config.NumBlocks * BlockBytes) + LogitBytes;

    /// <summary>Bytes of some of the blocks; the last one has the logits behind it.</summary>
    public long PartBytes(int firstBlock, int count) => (count * BlockBytes) + (firstBlock + count == _config.NumBlocks ? LogitBytes : 0);

    /// <summary>Units of 4 bytes, as the kernels count, from the first block of a part to one of its blocks.</summary>
    public long BlockFloats(int blockOfPart) => blockOfPart * BlockBytes / sizeof(float);

    /// <summary>The same to the block's n.</summary>
    public long VectorFloats(int blockOfPart) => ((blockOfPart * BlockBytes) + VectorOffset) / sizeof(float);

    private static long Align(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;
}
