using System.Globalization;
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

    // A flagged value is told as placement << ElementBits | element.
    private const int ElementBits = 40;

    private readonly Checkpoint _checkpoint;
    private readonly IReadOnlyList<CudaPlacement> _placements;
    private readonly IProgress<LoadProgress>? _progress;
    private readonly long[] _shardBytesLeft;
    private readonly long _bytes;
    private readonly Lock _progressLock = new();
    private long _bytesDone;
    private int _shardsDone;

    private CudaWeightLoader(Checkpoint checkpoint, IReadOnlyList<CudaPlacement> placements, IProgress<LoadProgress>? progress)
    {
        (_checkpoint, _placements, _progress) = (checkpoint, placements, progress);
        _shardBytesLeft = new long[checkpoint.Shards.Count];
        foreach (CudaPlacement placement in placements)
        {
            CheckpointTensor source = placement.Source;
            long bytes = (long)source.Rows * source.Cols * source.ElementSize;
            _shardBytesLeft[source.ShardIndex] += bytes;
            _bytes += bytes;
        }

        _shardsDone = _shardBytesLeft.Count(left => left == 0);
    }

    /// <summary>Loads a checkpoint's weights.</summary>
    /// <param name="context">Where to.</param>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="format">How the matrices are held.</param>
    /// <param name="threads">Threads that read.</param>
    /// <param name="progress">Told after every chunk.</param>
    /// <param name="cancellationToken">Honoured between chunks.</param>
    /// <exception cref="CheckpointException">A file cannot be read, or a weight is not a finite number in the format.</exception>
    /// <exception cref="XlstmException">The device has too little memory, or fails.</exception>
    public static CudaWeights Load(
        CudaContext context, Checkpoint checkpoint, WeightFormat format, int threads, IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
    {
        context.MakeCurrent();
        var memory = new DeviceBuffer(context, CudaWeightLayout.Measure(checkpoint.Config, format), "the model");
        try
        {
            (CudaWeights weights, IReadOnlyList<CudaPlacement> placements) = CudaWeightLayout.Bind(checkpoint, format, memory);
            new CudaWeightLoader(checkpoint, placements, progress).Fill(context, Math.Min(threads, MaxReaders), cancellationToken);
            return weights;
        }
        catch
        {
            memory.Dispose();
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

        Report(0, 0);
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
        Report(source.ShardIndex, bytes);
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
        string file = Path.Combine(_checkpoint.Folder, _checkpoint.Shards[source.ShardIndex].Name);
        string found = float.IsFinite(value)
            ? string.Create(CultureInfo.InvariantCulture, $"{value:R}, which bfloat16 cannot hold (--weights float32 can)")
            : string.Create(CultureInfo.InvariantCulture, $"{value}; weights must be finite numbers");
        return new CheckpointException($"{file}: tensor {source.Name} has at row {row}, column {col} the value {found}");
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

    private readonly record struct Chunk(int Placement, int First, int Count);

    /// <summary>A buffer on both sides, and when the device is done with it.</summary>
    private sealed record Slot(PinnedBuffer Host, DeviceBuffer Device, CudaEvent Done);

    /// <summary>One thread's stream and the buffers it takes in turn.</summary>
    private sealed class Slots : IDisposable
    {
        private readonly Slot[] _slots;
        private int _next;

        public Slots(CudaContext context, int bytes)
        {
            Stream = new CudaStream(context);
            _slots = [Make(), Make()];

            Slot Make() => new(new PinnedBuffer(context, bytes), new DeviceBuffer(context, bytes, "a loading buffer"), new CudaEvent(context));
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

        public void Dispose()
        {
            foreach (Slot slot in _slots)
            {
                slot.Host.Dispose();
                slot.Device.Dispose();
                slot.Done.Dispose();
            }

            Stream.Dispose();
        }
    }
}
