using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Xlstm.Checkpoints;

namespace Xlstm.Backends.Cpu;

/// <summary>
/// Reads a checkpoint's tensors into packed weights: positioned reads of a few rows at a time on every thread, converted on
/// the way. A mapped source would count as resident and push the page cache out; this holds a megabyte a thread beside the
/// weights themselves.
/// </summary>
internal sealed unsafe class WeightLoader
{
    private const int ChunkBytes = 1 << 20;

    // The largest float32 that rounds to a finite bfloat16 is just below this.
    private const float BFloat16Overflow = 3.3961775e38f;

    private readonly Checkpoint _checkpoint;
    private readonly IProgress<LoadProgress>? _progress;
    private readonly long[] _shardBytesLeft;
    private readonly long _bytes;
    private readonly Lock _progressLock = new();
    private long _bytesDone;
    private int _shardsDone;

    private WeightLoader(Checkpoint checkpoint, IReadOnlyList<TensorPlacement> placements, IProgress<LoadProgress>? progress)
    {
        (_checkpoint, _progress) = (checkpoint, progress);
        _shardBytesLeft = new long[checkpoint.Shards.Count];
        foreach (TensorPlacement placement in placements)
        {
            CheckpointTensor source = placement.Source;
            long bytes = (long)source.Rows * source.Cols * source.ElementSize;
            _shardBytesLeft[source.ShardIndex] += bytes;
            _bytes += bytes;
        }

        _shardsDone = _shardBytesLeft.Count(left => left == 0);
    }

    /// <summary>Loads a checkpoint's weights.</summary>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="recipe">How the matrices are held.</param>
    /// <param name="threads">Threads that read and convert.</param>
    /// <param name="progress">Told after every chunk.</param>
    /// <param name="cancellationToken">Honoured between chunks.</param>
    /// <param name="statistics">Calibration for quantized formats, or null.</param>
    /// <exception cref="CheckpointException">A file cannot be read, or a weight is not a finite number in the format.</exception>
    public static CpuWeights Load(Checkpoint checkpoint, WeightRecipe recipe, int threads, IProgress<LoadProgress>? progress, CancellationToken cancellationToken, ActivationStatistics? statistics = null)
    {
        var memory = new NativeBuffer(WeightLayout.Measure(checkpoint.Config, recipe), zeroed: false);
        try
        {
            (CpuWeights weights, IReadOnlyList<TensorPlacement> placements) = WeightLayout.Place(checkpoint, recipe, memory.Pointer, statistics);
            weights.Memory = memory;
            new WeightLoader(checkpoint, placements, progress).Fill(placements, threads, cancellationToken);
            return weights;
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    private void Fill(IReadOnlyList<TensorPlacement> placements, int threads, CancellationToken cancellationToken)
    {
        // File order: the disk sees few streams, and shards finish one after the other.
        var chunks = new List<(TensorPlacement Placement, int First, int Count)>();
        foreach (TensorPlacement placement in placements.OrderBy(p => p.Source.ShardIndex))
        {
            CheckpointTensor source = placement.Source;
            int rows = Math.Max(1, ChunkBytes / Math.Max(1, source.Cols * source.ElementSize) / PackedMatrix.PanelRows) * PackedMatrix.PanelRows;
            for (int first = 0; first < source.Rows; first += rows)
            {
                chunks.Add((placement, first, Math.Min(rows, source.Rows - first)));
            }
        }

        Report(0, 0);
        try
        {
            Parallel.ForEach(
                chunks,
                new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellationToken },
                () => new Buffers(),
                (chunk, _, buffers) =>
                {
                    FillChunk(chunk.Placement, chunk.First, chunk.Count, buffers);
                    CheckpointTensor source = chunk.Placement.Source;
                    Report(source.ShardIndex, (long)chunk.Count * source.Cols * source.ElementSize);
                    return buffers;
                },
                _ => { });
        }
        catch (AggregateException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }

    private void FillChunk(in TensorPlacement placement, int first, int count, Buffers buffers)
    {
        CheckpointTensor source = placement.Source;
        int cols = source.Cols;
        int rowBytes = cols * source.ElementSize;
        Span<byte> raw = buffers.Raw(count * rowBytes);
        source.ReadRows(first, count, raw);
        if (placement.Vector is not null)
        {
            var vector = new Span<float>(placement.Vector, cols);
            Widen(raw, source.ElementType, vector);
            Check(vector, float.MaxValue, source, first);
            return;
        }

        PackedMatrix matrix = placement.Matrix;
        Span<float> row = buffers.Row(cols);
        float limit = matrix.Format == WeightFormat.Float32 ? float.MaxValue : BFloat16Overflow; // quantized weights have bfloat16 scales
        for (int i = 0; i < count; i++)
        {
            Widen(raw.Slice(i * rowBytes, rowBytes), source.ElementType, row);
            Check(row, limit, source, first + i);
            matrix.SetRow(placement.FirstRow + first + i, row, placement.Importance);
        }

        int end = placement.FirstRow + first + count;
        if (end == matrix.Rows)
        {
            row.Clear();
            for (; end % PackedMatrix.PanelRows != 0; end++)
            {
                matrix.SetRow(end, row);
            }
        }
    }

    private static void Widen(ReadOnlySpan<byte> raw, ElementType type, Span<float> values)
    {
        switch (type)
        {
            case ElementType.Float32:
                MemoryMarshal.Cast<byte, float>(raw).CopyTo(values);
                break;
            case ElementType.BFloat16:
                ReadOnlySpan<ushort> bits = MemoryMarshal.Cast<byte, ushort>(raw);
                for (int i = 0; i < values.Length; i++)
                {
                    values[i] = BFloat16.Widen(bits[i]);
                }

                break;
            case ElementType.Float16:
                ReadOnlySpan<Half> halves = MemoryMarshal.Cast<byte, Half>(raw);
                for (int i = 0; i < values.Length; i++)
                {
                    values[i] = (float)halves[i];
                }

                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(type), type, null);
        }
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

        string file = Path.Combine(_checkpoint.Folder, _checkpoint.Shards[source.ShardIndex].Name);
        string found = float.IsFinite(values[col])
            ? $"{values[col]:R}, which bfloat16 cannot hold (float32 can)"
            : $"{values[col]}; weights must be finite numbers";
        throw new CheckpointException($"{file}: tensor {source.Name} has at row {row}, column {col} the value {found}");
    }

    private void Report(int shard, long bytes)
    {
        lock (_progressLock)
        {
            _bytesDone += bytes;
            _shardBytesLeft[shard] -= bytes;
            if (bytes > 0 && _shardBytesLeft[shard] == 0)
            {
                _shardsDone++;
            }

            _progress?.Report(new LoadProgress(_shardsDone, _shardBytesLeft.Length, _bytesDone, _bytes));
        }
    }

    /// <summary>One thread's buffers, grown to the largest chunk it has met.</summary>
    private sealed class Buffers
    {
        private byte[] _raw = [];
        private float[] _row = [];

        public Span<byte> Raw(int length)
        {
            if (_raw.Length < length)
            {
                _raw = GC.AllocateUninitializedArray<byte>(length);
            }

            return _raw.AsSpan(0, length);
        }

        public Span<float> Row(int length)
        {
            if (_row.Length < length)
            {
                _row = GC.AllocateUninitializedArray<float>(length);
            }

            return _row.AsSpan(0, length);
        }
    }
}
