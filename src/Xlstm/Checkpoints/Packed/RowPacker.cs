using System.Runtime.Intrinsics;

namespace Xlstm.Checkpoints.Packed;

/// <summary>Reads rows of a checkpoint, looks for what cannot be held, and packs them. One thread's: it keeps its buffers, grown to the largest chunk it has met.</summary>
internal sealed unsafe class RowPacker(Checkpoint checkpoint)
{
    // The largest float32 that rounds to a finite bfloat16 is just below this.
    private const float BFloat16Overflow = 3.3961775e38f;

    private byte[] _raw = [];
    private float[] _row = [];

    /// <summary>Packs rows of a matrix; after its last row the panel is filled up with zeros.</summary>
    /// <param name="source">The stored matrix.</param>
    /// <param name="first">First row.</param>
    /// <param name="count">Rows.</param>
    /// <param name="matrix">Where to.</param>
    /// <param name="toRow">The row there that the first one becomes.</param>
    /// <param name="importance">How much an error in each column matters, or null.</param>
    /// <exception cref="CheckpointException">The file cannot be read, or a weight is not a finite number in the matrix's format.</exception>
    public void Pack(CheckpointTensor source, int first, int count, PackedMatrix matrix, int toRow, float[]? importance = null)
    {
        Span<byte> raw = Read(source, first, count);
        Span<float> row = Row(source.Cols);
        int rowBytes = (int)source.BytesOf(1);
        float limit = matrix.Format == WeightFormat.BFloat16 ? BFloat16Overflow : float.MaxValue;
        for (int i = 0; i < count; i++)
        {
            ElementConversion.ToFloat32(raw.Slice(i * rowBytes, rowBytes), source.ElementType, row);
            Check(row, limit, source, first + i);
            matrix.SetRow(toRow + i, row, importance);
        }

        int end = toRow + count;
        if (end == matrix.Rows)
        {
            row.Clear();
            for (; end % PackedMatrix.PanelRows != 0; end++)
            {
                matrix.SetRow(end, row);
            }
        }
    }

    /// <summary>Widens a vector.</summary>
    /// <param name="source">The stored vector.</param>
    /// <param name="vector">float32 [n].</param>
    /// <exception cref="CheckpointException">The file cannot be read, or an element is not a finite number.</exception>
    public void Widen(CheckpointTensor source, float* vector)
    {
        var values = new Span<float>(vector, source.Cols);
        ElementConversion.ToFloat32(Read(source, 0, source.Rows), source.ElementType, values);
        Check(values, float.MaxValue, source, row: 0);
    }

    private Span<byte> Read(CheckpointTensor source, int first, int count)
    {
        int length = (int)source.BytesOf(count);
        if (_raw.Length < length)
        {
            _raw = GC.AllocateUninitializedArray<byte>(length);
        }

        Span<byte> raw = _raw.AsSpan(0, length);
        source.ReadRows(first, count, raw);
        return raw;
    }

    private Span<float> Row(int length)
    {
        if (_row.Length < length)
        {
            _row = GC.AllocateUninitializedArray<float>(length);
        }

        return _row.AsSpan(0, length);
    }

    private void Check(ReadOnlySpan<float> values, float limit, CheckpointTensor source, int row)
    {
        // One comparison refuses infinities, NaN (which compares false) and, for bfloat16, what would round to infinity.
        int whole = values.Length / Vector256<float>.Count * Vector256<float>.Count;
        Vector256<float> limits = Vector256.Create(limit);
        bool good = true;
        for (int i = 0; i < whole; i += Vector256<float>.Count)
        {
            good &= Vector256.LessThanOrEqualAll(Vector256.Abs(Vector256.Create(values[i..])), limits);
        }

        for (int i = whole; i < values.Length; i++)
        {
            good &= MathF.Abs(values[i]) <= limit;
        }

        if (good)
        {
            return;
        }

        int col = 0;
        while (MathF.Abs(values[col]) <= limit)
        {
            col++;
        }

        throw WeightFault.At(checkpoint, source, row, col, values[col]);
    }
}
