using System.Runtime.ExceptionServices;
using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints;

namespace Xlstm.Backends.Cuda;

/// <summary>
/// Streams a checkpoint to the device: several threads read rows into pinned buffers, each copies them on a stream of its own
/// and has them converted there, while it reads the next.
/// </summary>
internal sealed unsafe class CudaWeightLoader
{
    private const int SlotBytes = 8 << 20;
    private const int MaxReaders = 12;
    private const int SlotsPerReader = 2;

    // A flagged value is told as placement << ElementBits | element.
    private const int ElementBits = 40;

    /// <summary>Bytes of device memory that a load needs beside the weights, and gives back: at most, but for rows longer than a buffer.</summary>
    public const long BufferBytes = (long)MaxReaders * SlotsPerReader * SlotBytes;

    private readonly Checkpoint _checkpoint;
    private readonly IReadOnlyList<CudaPlacement> _placements;
    private readonly LoadMeter _meter;

    private CudaWeightLoader(Checkpoint checkpoint, IReadOnlyList<CudaPlacement> placements, LoadMeter meter) =>
        (_checkpoint, _placements, _meter) = (checkpoint, placements, meter);

    /// <summary>Loads a checkpoint's weights, stage by stage.</summary>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="format">How the matrices are held.</param>
    /// <param name="places">The stages and where they go.</param>
    /// <param name="threads">Threads that read.</param>
    /// <param name="progress">Told after every chunk.</param>
    /// <param name="cancellationToken">Honoured between chunks.</param>
    /// <returns>Each stage's weights.</returns>
    /// <exception cref="CheckpointException">A file cannot be read, or a weight is not a finite number in the format.</exception>
    /// <exception cref="XlstmException">A device has too little memory, or fails.</exception>
    public static CudaWeights[] Load(
        Checkpoint checkpoint,
        WeightFormat format,
        IReadOnlyList<(CudaContext Context, ModelStage Stage)> places,
        int threads,
        IProgress<LoadProgress>? progress,
        CancellationToken cancellationToken)
    {
        var loaded = new List<CudaWeights>();
        try
        {
            var placements = new List<IReadOnlyList<CudaPlacement>>();
            foreach ((CudaContext context, ModelStage stage) in places)
            {
                context.MakeCurrent();
                var memory = new DeviceBuffer(context, CudaWeightLayout.Measure(checkpoint.Config, format, stage), "the model");
                (CudaWeights weights, IReadOnlyList<CudaPlacement> placed) = CudaWeightLayout.Bind(checkpoint, format, stage, memory);
                loaded.Add(weights);
                placements.Add(placed);
            }

            var meter = new LoadMeter(checkpoint.Shards.Count, placements.SelectMany(stage => stage).Select(placement => placement.Source), progress);
            for (int i = 0; i < loaded.Count; i++)
            {
                places[i].Context.MakeCurrent();
                new CudaWeightLoader(checkpoint, placements[i], meter).Fill(places[i].Context, Math.Min(threads, MaxReaders), cancellationToken);
            }

            return [.. loaded];
        }
        catch
        {
            loaded.ForEach(weights => weights.Dispose());
            throw;
        }
    }

    private void Fill(CudaContext context, int readers, CancellationToken cancellationToken)
    {
        using var kernels = new ConvertKernels(context);
        using var firstBad = new DeviceBuffer(context, sizeof(ulong), "a flag");
        using var stream = new CudaStream(context);
        stream.Fill(firstBad.Address, 0xFF, sizeof(ulong));
        stream.Synchronize();

        var chunks = new List<Chunk>();
        foreach (int index in Enumerable.Range(0, _placements.Count).OrderBy(i => _placements[i].Source.ShardIndex))
        {
            CheckpointTensor source = _placements[index].Source;
            int rows = Math.Max(1, SlotBytes / (source.Cols * source.ElementSize));
            for (int first = 0; first < source.Rows; first += rows)
            {
                chunks.Add(new Chunk(index, first, Math.Min(rows, source.Rows - first)));
            }
        }

        int slotBytes = Math.Max(SlotBytes, _placements.Max(p => p.Source.Cols * p.Source.ElementSize));
        int next = -1;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Exception? fault = null;
        var threads = new Thread[Math.Min(readers, chunks.Count)];
        for (int i = 0; i < threads.Length; i++)
        {
            threads[i] = new Thread(Read) { IsBackground = true, Name = "weights to the GPU" };
            threads[i].Start();
        }

        Array.ForEach(threads, thread => thread.Join());
        if (fault is not null)
        {
            ExceptionDispatchInfo.Throw(fault);
        }

        cancellationToken.ThrowIfCancellationRequested();
        ulong bad;
        stream.Download(&bad, firstBad.Address, sizeof(ulong));
        stream.Synchronize();
        if (bad != ulong.MaxValue)
        {
            throw Refuse(_placements[(int)(bad >> ElementBits)], (long)(bad & ((1UL << ElementBits) - 1)));
        }

        void Read()
        {
            try
            {
                context.MakeCurrent();
                using var slots = new Slots(context, slotBytes);
                for (int index; (index = Interlocked.Increment(ref next)) < chunks.Count && !stop.IsCancellationRequested;)
                {
                    Send(chunks[index], slots, kernels, firstBad.Address);
                }

                slots.Finish();
            }
            catch (Exception e)
            {
                Interlocked.CompareExchange(ref fault, e, null);
                stop.Cancel();
            }
        }
    }

    private void Send(Chunk chunk, Slots slots, ConvertKernels kernels, ulong firstBad)
    {
        CudaPlacement placement = _placements[chunk.Placement];
        CheckpointTensor source = placement.Source;
        long bytes = (long)chunk.Count * source.Cols * source.ElementSize;
        Slot slot = slots.Next();
        source.ReadRows(chunk.First, chunk.Count, new Span<byte>(slot.Host.Pointer, (int)bytes));
        slots.Stream.Upload(slot.Device.Address, slot.Host.Pointer, bytes);
        kernels.Launch(slots.Stream, placement.Format, new ConvertArguments
        {
            Source = slot.Device.Address,
            Out = placement.Address,
            FirstBad = firstBad,
            Base = ((ulong)chunk.Placement << ElementBits) + ((ulong)chunk.First * (ulong)source.Cols),
            FirstRow = placement.FirstRow + ((long)chunk.First * placement.RowStep),
            RowStep = placement.RowStep,
            Rows = placement.Transposed ? source.Cols : chunk.Count,
            Cols = placement.Transposed ? 1 : source.Cols,
            Stride = placement.Stride,
            SourceType = (int)source.ElementType,
        });
        slot.Done.Record(slots.Stream);
        _meter.Add(source, chunk.Count);
    }

    private CheckpointException Refuse(CudaPlacement placement, long element)
    {
        CheckpointTensor source = placement.Source;
        int row = (int)(element / source.Cols), col = (int)(element % source.Cols);
        byte[] stored = new byte[source.Cols * source.ElementSize];
        source.ReadRows(row, 1, stored);
        ReadOnlySpan<byte> bits = stored.AsSpan(col * source.ElementSize);
        float value = source.ElementType switch
        {
            ElementType.Float32 => BitConverter.ToSingle(bits),
            ElementType.BFloat16 => BitConverter.Int32BitsToSingle(BitConverter.ToUInt16(bits) << 16),
            _ => (float)BitConverter.ToHalf(bits),
        };
        return WeightFault.At(_checkpoint, source, row, col, value);
    }

    private readonly record struct Chunk(int Placement, int First, int Count);

    /// <summary>A buffer on both sides, and when the device is done with it.</summary>
    private sealed record Slot(PinnedBuffer Host, DeviceBuffer Device, CudaEvent Done);

    /// <summary>One thread's stream and the buffers it takes in turn.</summary>
    private sealed class Slots : IDisposable
    {
        private readonly OwnedResources _owned = new();
        private readonly Slot[] _slots;
        private int _next;

        public Slots(CudaContext context, int bytes)
        {
            (Stream, _slots) = _owned.OrNothing<(CudaStream, Slot[])>(owned => (owned.Add(new CudaStream(context)), [.. Enumerable.Range(0, SlotsPerReader).Select(_ => Make())]));

            Slot Make() => new(_owned.Add(new PinnedBuffer(context, bytes)), _owned.Add(new DeviceBuffer(context, bytes, "a loading buffer")), _owned.Add(new CudaEvent(context)));
        }

        public CudaStream Stream { get; }

        /// <summary>The buffer used longest ago, once the device is done with it.</summary>
        public Slot Next()
        {
            Slot slot = _slots[_next++ % _slots.Length];
            slot.Done.Synchronize();
            return slot;
        }

        public void Finish() => Stream.Synchronize();

        public void Dispose() => _owned.Dispose();
    }
}
