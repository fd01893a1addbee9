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

    private PackedLoader(Checkpoint checkpoint, IReadOnlyList<Placement> placements, IProgress<LoadProgress>? progress) =>
        (_checkpoint, _meter) = (checkpoint, new LoadMeter(checkpoint.Shards.Count, placements.Select(p => (p.Source.ShardIndex, p.Source.BytesOf(p.Source.Rows))), progress));

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
                () => new RowPacker(_checkpoint),
                (chunk, _, packer) =>
                {
                    Placement placement = chunk.Placement;
                    if (placement.Vector is not null)
                    {
                        packer.Widen(placement.Source, placement.Vector);
                    }
                    else
                    {
                        packer.Pack(placement.Source, chunk.First, chunk.Count, placement.Matrix, placement.FirstRow + chunk.First, placement.Importance);
                    }

                    _meter.Add(placement.Source.ShardIndex, placement.Source.BytesOf(chunk.Count));
                    return packer;
                },
                _ => { });
        }
        catch (AggregateException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
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
