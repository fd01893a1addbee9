using System.Runtime.ExceptionServices;
using System.Runtime.Intrinsics;
using Xlstm.Memory;

namespace Xlstm.Checkpoints.Packed;

/// <summary>
/// Reads a checkpoint's tensors into packed weights: positioned reads of a few rows at a time on every thread, converted on
/// the way. A mapped source would count as resident and push the page cache out; this holds a megabyte a thread beside the
/// weights themselves.
/// </summary>
internal sealed unsafe class PackedLoader
{
    private const int ChunkBytes = 1 << 20;

    // The largest float32 that rounds to a finite bfloat16 is just below this.
    private const float BFloat16Overflow = 3.3961775e38f;

    private readonly Checkpoint _checkpoint;
    private readonly LoadMeter _meter;

    private PackedLoader(Checkpoint checkpoint, IReadOnlyList<Placement> placements, IProgress<LoadProgress>? progress) =>
        (_checkpoint, _meter) = (checkpoint, new LoadMeter(checkpoint.Shards.Count, placements.Select(placement => placement.Source), progress));

    /// <summary>Loads a checkpoint's weights into memory of their own.</summary>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="layout">Where they go and in which formats.</param>
    /// <param name="threads">Threads that read and convert.</param>
    /// <param name="progress">Told after every chunk.</param>
    /// <param name="cancellationToken">Honoured between chunks.</param>
    /// <param name="importance">How much an error in each column of a matrix matters, float32 [cols]; null for all the same.</param>
    /// <exception cref="CheckpointException">A file cannot be read, or a weight is not a finite number in its format.</exception>
    public static NativeBuffer Load(
        Checkpoint checkpoint, PackedLayout layout, int threads, IProgress<LoadProgress>? progress, CancellationToken cancellationToken, Func<PackedTensor, float[]?>? importance = null)
    {
        var memory = new NativeBuffer(layout.ByteLength, zeroed: false);
        try
        {
            Placement[] placements = [.. layout.Tensors.SelectMany(tensor => Place(checkpoint.Tensors, layout.Config, tensor, memory.Pointer, importance))];
            new PackedLoader(checkpoint, placements, progress).Fill(placements, threads, cancellationToken);
            return memory;
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    private static IEnumerable<Placement> Place(TensorMap sources, XlstmConfig config, PackedTensor tensor, byte* memory, Func<PackedTensor, float[]?>? importance)
    {
        PackedMatrix matrix = tensor.IsVector ? default : tensor.Matrix(memory);
        float* vector = tensor.IsVector ? tensor.Vector(memory) : null;
        var first = new Placement
        {
            Source = sources.Get(tensor.Block, tensor.Role, tensor.IsBias),
            Matrix = matrix,
            Vector = vector,
            Importance = tensor.IsVector ? null : importance?.Invoke(tensor),
        };
        if (tensor.Role != TensorRole.IGatePreact)
        {
            return [first];
        }

        CheckpointTensor forget = sources.Get(tensor.Block, TensorRole.FGatePreact, tensor.IsBias);
        return [first, new Placement { Source = forget, Matrix = matrix, Vector = tensor.IsVector ? vector + config.NumHeads : null, FirstRow = config.NumHeads }];
    }

    private void Fill(IReadOnlyList<Placement> placements, int threads, CancellationToken cancellationToken)
    {
        // File order: the disk sees few streams, and shards finish one after the other.
        var chunks = new List<(Placement Placement, int First, int Count)>();
        foreach (Placement placement in placements.OrderBy(p => p.Source.ShardIndex))
        {
            CheckpointTensor source = placement.Source;
            int rows = Math.Max(1, ChunkBytes / Math.Max(1, source.Cols * source.ElementSize) / PackedMatrix.PanelRows) * PackedMatrix.PanelRows;
            for (int first = 0; first < source.Rows; first += rows)
            {
                chunks.Add((placement, first, Math.Min(rows, source.Rows - first)));
            }
        }

        try
        {
            Parallel.ForEach(
                chunks,
                new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellationToken },
                () => new Buffers(),
                (chunk, _, buffers) =>
                {
                    FillChunk(chunk.Placement, chunk.First, chunk.Count, buffers);
                    _meter.Add(chunk.Placement.Source, chunk.Count);
                    return buffers;
                },
                _ => { });
        }
        catch (AggregateException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }

    private void FillChunk(in Placement placement, int first, int count, Buffers buffers)
    {
        CheckpointTensor source = placement.Source;
        int cols = source.Cols;
        int rowBytes = cols * source.ElementSize;
        Span<byte> raw = buffers.Raw(count * rowBytes);
        source.ReadRows(first, count, raw);
        if (placement.Vector is not null)
        {
            var vector = new Span<float>(placement.Vector, cols);
            ElementConversion.ToFloat32(raw, source.ElementType, vector);
            Check(vector, float.MaxValue, source, first);
            return;
        }

        PackedMatrix matrix = placement.Matrix;
        Span<float> row = buffers.Row(cols);
        float limit = matrix.Format == WeightFormat.BFloat16 ? BFloat16Overflow : float.MaxValue;
        for (int i = 0; i < count; i++)
        {
            ElementConversion.ToFloat32(raw.Slice(i * rowBytes, rowBytes), source.ElementType, row);
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

        throw WeightFault.At(_checkpoint, source, row, col, values[col]);
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

    /// <summary>A stored tensor and where its values belong: rows of a packed matrix, or a float32 vector.</summary>
    private readonly struct Placement
    {
        public CheckpointTensor Source { get; init; }

        /// <summary>The matrix, when <see cref="Vector"/> is null.</summary>
        public PackedMatrix Matrix { get; init; }

        /// <summary>The matrix's row that the source's first row becomes.</summary>
        public int FirstRow { get; init; }

        /// <summary>float32 [n], or null.</summary>
        public float* Vector { get; init; }

        /// <summary>How much an error in each of the matrix's columns matters, or null.</summary>
        public float[]? Importance { get; init; }
    }
}
