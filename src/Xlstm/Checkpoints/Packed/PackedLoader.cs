using System.Runtime.ExceptionServices;
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

    private readonly Checkpoint _checkpoint;
    private readonly LoadMeter _meter;

    private PackedLoader(Checkpoint checkpoint, LoadMeter meter) => (_checkpoint, _meter) = (checkpoint, meter);

    /// <summary>Loads a checkpoint's weights into memory of their own.</summary>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="layout">Where they go and in which formats.</param>
    /// <param name="threads">Threads that read and convert.</param>
    /// <param name="progress">Told after every chunk.</param>
    /// <param name="cancellationToken">Honoured between chunks.</param>
    /// <exception cref="CheckpointException">A file cannot be read, or a weight is not a finite number in its format.</exception>
    public static NativeBuffer Load(Checkpoint checkpoint, PackedLayout layout, int threads, IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
    {
        var memory = new NativeBuffer(layout.ByteLength, zeroed: false);
        try
        {
            Fill(checkpoint, layout.Tensors, memory, threads, MeterOf(checkpoint, layout, progress), cancellationToken);
            return memory;
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    /// <summary>What counts the reading of all tensors of a layout.</summary>
    public static LoadMeter MeterOf(Checkpoint checkpoint, PackedLayout layout, IProgress<LoadProgress>? progress) =>
        new(checkpoint.Shards.Count, layout.Tensors.SelectMany(tensor => SourcesOf(checkpoint, tensor)).Select(source => (source.ShardIndex, source.BytesOf(source.Rows))), progress);

    /// <summary>Reads some of a layout's tensors into their places.</summary>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="tensors">The tensors.</param>
    /// <param name="memory">What holds all weights of the layout.</param>
    /// <param name="threads">Threads that read and convert.</param>
    /// <param name="meter">Counts what is read.</param>
    /// <param name="cancellationToken">Honoured between chunks.</param>
    /// <exception cref="CheckpointException">A file cannot be read, or a weight is not a finite number in its format.</exception>
    public static void Fill(Checkpoint checkpoint, IEnumerable<PackedTensor> tensors, IWeightMemory memory, int threads, LoadMeter meter, CancellationToken cancellationToken)
    {
        Placement[] placements = [.. tensors.SelectMany(tensor => Place(checkpoint, tensor, memory.Pointer))];
        new PackedLoader(checkpoint, meter).Fill(placements, threads, cancellationToken);
    }

    /// <summary>The stored tensors that make up a packed one.</summary>
    private static IEnumerable<CheckpointTensor> SourcesOf(Checkpoint checkpoint, PackedTensor tensor)
    {
        CheckpointTensor first = checkpoint.Tensors.Get(tensor.Block, tensor.Role, tensor.IsBias);
        return tensor.Role == TensorRole.IGatePreact ? [first, checkpoint.Tensors.Get(tensor.Block, TensorRole.FGatePreact, tensor.IsBias)] : [first];
    }

    private static List<Placement> Place(Checkpoint checkpoint, PackedTensor tensor, byte* memory)
    {
        PackedMatrix matrix = tensor.IsVector ? default : tensor.Matrix(memory);
        float* vector = tensor.IsVector ? tensor.Vector(memory) : null;
        var placements = new List<Placement>();
        foreach (CheckpointTensor source in SourcesOf(checkpoint, tensor))
        {
            placements.Add(new Placement { Source = source, Matrix = matrix, Vector = vector, FirstRow = placements.Sum(before => before.Source.Rows) });
            vector = tensor.IsVector ? vector + source.Cols : null;
        }

        return placements;
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
                () => new RowReader(_checkpoint),
                (chunk, _, reader) =>
                {
                    FillChunk(chunk.Placement, chunk.First, chunk.Count, reader);
                    _meter.Add(chunk.Placement.Source.ShardIndex, chunk.Placement.Source.BytesOf(chunk.Count));
                    return reader;
                },
                _ => { });
        }
        catch (AggregateException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }

    private static void FillChunk(in Placement placement, int first, int count, RowReader reader)
    {
        CheckpointTensor source = placement.Source;
        reader.Read(source, first, count);
        if (placement.Vector is not null)
        {
            reader.Row(0, WeightFormat.Float32).CopyTo(new Span<float>(placement.Vector, source.Cols));
            return;
        }

        PackedMatrix matrix = placement.Matrix;
        for (int i = 0; i < count; i++)
        {
            matrix.SetRow(placement.FirstRow + first + i, reader.Row(i, matrix.Format));
        }

        if (placement.FirstRow + first + count == matrix.Rows)
        {
            matrix.ClearPadding();
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
    }
}
