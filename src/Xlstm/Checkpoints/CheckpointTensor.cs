namespace Xlstm.Checkpoints;

/// <summary>Where a tensor's bytes come from.</summary>
internal interface ITensorSource
{
    /// <summary>Fills <paramref name="destination"/> with the stored tensor's bytes from <paramref name="offset"/> on. Thread-safe.</summary>
    void Read(long offset, Span<byte> destination);
}

/// <summary>
/// A matrix [<see cref="Rows"/>, <see cref="Cols"/>] of the model, row-major: a whole stored tensor, or its share of a fused one.
/// A vector of n elements is [1, n].
/// </summary>
public sealed class CheckpointTensor
{
    private readonly ITensorSource _source;
    private readonly long _offset;

    internal CheckpointTensor(string name, int shardIndex, ElementType elementType, int rows, int cols, ITensorSource source, long offset)
    {
        Name = name;
        ShardIndex = shardIndex;
        ElementType = elementType;
        Rows = rows;
        Cols = cols;
        _source = source;
        _offset = offset;
    }

    /// <summary>The stored tensor's name; several tensors of the model share one when it is fused.</summary>
    public string Name { get; }

    /// <summary>Index into <see cref="Checkpoint.Shards"/>.</summary>
    public int ShardIndex { get; }

    /// <summary>What the stored elements are.</summary>
    public ElementType ElementType { get; }

    /// <summary>Rows; 1 for a vector.</summary>
    public int Rows { get; }

    /// <summary>Elements a row.</summary>
    public int Cols { get; }

    /// <summary>Bytes an element.</summary>
    public int ElementSize => SafetensorsDtype.SizeOf(ElementType);

    /// <summary>Bytes of some rows as stored.</summary>
    internal long BytesOf(int rows) => (long)rows * Cols * ElementSize;

    /// <summary>Reads rows as stored: little-endian, one row after the other. Thread-safe.</summary>
    /// <param name="firstRow">First row.</param>
    /// <param name="rowCount">Number of rows.</param>
    /// <param name="destination">Its first <c>rowCount * Cols * ElementSize</c> bytes are filled.</param>
    /// <exception cref="ArgumentOutOfRangeException">The rows are not in the tensor, or <paramref name="destination"/> is too short.</exception>
    /// <exception cref="CheckpointException">The file got shorter since it was opened, or cannot be read.</exception>
    public void ReadRows(int firstRow, int rowCount, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(firstRow);
        ArgumentOutOfRangeException.ThrowIfNegative(rowCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rowCount, Rows - firstRow);
        long rowBytes = (long)Cols * ElementSize;
        long length = rowBytes * rowCount;
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, length, nameof(destination));
        _source.Read(_offset + (firstRow * rowBytes), destination[..(int)length]);
    }

    /// <summary>Whether both store the same elements in the same shape. Reads both, up to the first difference.</summary>
    internal bool HasSameContent(CheckpointTensor other)
    {
        if (Rows != other.Rows || Cols != other.Cols || ElementType != other.ElementType)
        {
            return false;
        }

        const int ChunkBytes = 1 << 20;
        int rowsPerChunk = Math.Max(1, ChunkBytes / (Cols * ElementSize));
        byte[] mine = new byte[rowsPerChunk * Cols * ElementSize];
        byte[] theirs = new byte[mine.Length];
        for (int row = 0; row < Rows; row += rowsPerChunk)
        {
            int count = Math.Min(rowsPerChunk, Rows - row);
            ReadRows(row, count, mine);
            other.ReadRows(row, count, theirs);
            if (!mine.AsSpan().SequenceEqual(theirs))
            {
                return false;
            }
        }

        return true;
    }
}
