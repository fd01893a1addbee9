using System.Runtime.Intrinsics;

namespace Xlstm.Checkpoints.Packed;

/// <summary>Reads rows of a checkpoint's tensors as float32 and refuses what a format cannot hold. For one thread; its buffers grow to the largest piece it has read.</summary>
internal sealed class RowReader(Checkpoint checkpoint)
{
    // The largest float32 that rounds to a finite bfloat16 is just below this.
    private const float BFloat16Overflow = 3.3961775e38f;

    private CheckpointTensor? _source;
    private byte[] _raw = [];
    private float[] _row = [];
    private int _first;

    /// <summary>Reads a piece of a tensor.</summary>
    /// <param name="source">The tensor; a vector is one row.</param>
    /// <param name="first">First row.</param>
    /// <param name="count">Rows.</param>
    /// <exception cref="CheckpointException">The file cannot be read.</exception>
    public void Read(CheckpointTensor source, int first, int count)
    {
        int bytes = count * source.Cols * source.ElementSize;
        if (_raw.Length < bytes)
        {
            _raw = GC.AllocateUninitializedArray<byte>(bytes);
        }

        if (_row.Length < source.Cols)
        {
            _row = GC.AllocateUninitializedArray<float>(source.Cols);
        }

        source.ReadRows(first, count, _raw);
        (_source, _first) = (source, first);
    }

    /// <summary>A row of the piece, float32 [cols], until the next call.</summary>
    /// <param name="index">Its number in the piece.</param>
    /// <param name="format">What will hold it.</param>
    /// <exception cref="CheckpointException">A weight is not a finite number in that format.</exception>
    public ReadOnlySpan<float> Row(int index, WeightFormat format)
    {
        CheckpointTensor source = _source!;
        int bytes = source.Cols * source.ElementSize;
        Span<float> row = _row.AsSpan(0, source.Cols);
        ElementConversion.ToFloat32(_raw.AsSpan(index * bytes, bytes), source.ElementType, row);
        Check(row, format == WeightFormat.BFloat16 ? BFloat16Overflow : float.MaxValue, _first + index);
        return row;
    }

    private void Check(ReadOnlySpan<float> values, float limit, int row)
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

        throw WeightFault.At(checkpoint, _source!, row, col, values[col]);
    }
}
