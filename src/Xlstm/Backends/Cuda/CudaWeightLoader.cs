using System.Runtime.ExceptionServices;
using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;
using Xlstm.Memory;

namespace Xlstm.Backends.Cuda;

/// <summary>
/// Streams a checkpoint to the device: several threads fill pinned buffers, each copies them on a stream of its own while it fills
/// the next. Rows are converted on the device; rows to be quantized are packed here, by the CPU's packer; panels of a packed file go
/// as they are.
/// </summary>
internal sealed unsafe class CudaWeightLoader
{
    // More threads than these do not read faster, but do pack faster; together they use no more memory.
    private const int SlotBytes = 8 << 20;
    private const int MaxReaders = 12;
    private const int PackerSlotBytes = SlotBytes / 4;
    private const int MaxPackers = 4 * MaxReaders;

    // A flagged value is told as placement << ElementBits | element.
    private const int ElementBits = 40;

    /// <summary>Bytes of device memory that a load needs beside the weights, and gives back: at most, but for rows longer than a buffer.</summary>
    public const long BufferBytes = (long)MaxReaders * LoadingSlots.Count * SlotBytes;

    private readonly Checkpoint _checkpoint;
    private readonly IReadOnlyList<CudaPlacement> _placements;
    private readonly LoadMeter _meter;
    private readonly IWeightMemory? _packed;

    private CudaWeightLoader(Checkpoint checkpoint, IReadOnlyList<CudaPlacement> placements, LoadMeter meter, IWeightMemory? packed) =>
        (_checkpoint, _placements, _meter, _packed) = (checkpoint, placements, meter, packed);

    /// <summary>Loads a checkpoint's weights, stage by stage.</summary>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="wanted">How the matrices are to be held; a packed folder of that format keeps its mix.</param>
    /// <param name="places">The stages and where they go.</param>
    /// <param name="threads">Threads that read.</param>
    /// <param name="progress">Told after every chunk.</param>
    /// <param name="cancellationToken">Honoured between chunks.</param>
    /// <returns>Each stage's weights.</returns>
    /// <exception cref="CheckpointException">A file cannot be read, or a weight is not a finite number in the format.</exception>
    /// <exception cref="XlstmException">A device has too little memory, or fails.</exception>
    public static CudaWeights[] Load(
        Checkpoint checkpoint,
        WeightRecipe wanted,
        IReadOnlyList<(CudaContext Context, ModelStage Stage)> places,
        int threads,
        IProgress<LoadProgress>? progress,
        CancellationToken cancellationToken)
    {
        WeightRecipe recipe = CudaWeightLayout.RecipeOf(checkpoint, wanted);
        var loaded = new List<CudaWeights>();
        try
        {
            var placements = new List<IReadOnlyList<CudaPlacement>>();
            foreach ((CudaContext context, ModelStage stage) in places)
            {
                context.MakeCurrent();
                var memory = new DeviceBuffer(context, CudaWeightLayout.Measure(checkpoint.Config, recipe, stage), "the model");
                (CudaWeights weights, IReadOnlyList<CudaPlacement> placed) = CudaWeightLayout.Bind(checkpoint, recipe, stage, memory);
                loaded.Add(weights);
                placements.Add(placed);
            }

            CudaPlacement[] all = [.. placements.SelectMany(stage => stage)];
            var meter = new LoadMeter(checkpoint.Shards.Count, all.Select(placement => (placement.Source.ShardIndex, placement.BytesOf(placement.Source.Rows))), progress);
            using MappedMemory? packed = all.Any(placement => placement.Packed is not null) ? checkpoint.Packed!.Map() : null;
            for (int i = 0; i < loaded.Count; i++)
            {
                places[i].Context.MakeCurrent();
                new CudaWeightLoader(checkpoint, placements[i], meter, packed).Fill(places[i].Context, threads, cancellationToken);
            }

            return [.. loaded];
        }
        catch
        {
            loaded.ForEach(weights => weights.Dispose());
            throw;
        }
    }

    private void Fill(CudaContext context, int threads, CancellationToken cancellationToken)
    {
        using var kernels = new ConvertKernels(context);
        using var firstBad = new DeviceBuffer(context, sizeof(ulong), "a flag");
        using var stream = new CudaStream(context);
        stream.Fill(firstBad.Address, 0xFF, sizeof(ulong));
        stream.Synchronize();

        bool packs = _placements.Any(placement => placement.IsQuantized && placement.Packed is null);
        int slotBytes = packs ? PackerSlotBytes : SlotBytes;
        var chunks = new List<Chunk>();
        foreach (int index in Enumerable.Range(0, _placements.Count).OrderBy(i => _placements[i].Source.ShardIndex))
        {
            CudaPlacement placement = _placements[index];
            int rows = placement.ChunkRows(slotBytes);
            for (int first = 0; first < placement.Source.Rows; first += rows)
            {
                chunks.Add(new Chunk(index, first, Math.Min(rows, placement.Source.Rows - first)));
            }
        }

        long largest = Math.Max(slotBytes, chunks.Max(chunk => _placements[chunk.Placement].SentBytes(chunk.Count)));
        int next = -1;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Exception? fault = null;
        var readers = new Thread[Math.Min(Math.Min(threads, packs ? MaxPackers : MaxReaders), chunks.Count)];
        for (int i = 0; i < readers.Length; i++)
        {
            readers[i] = new Thread(Read) { IsBackground = true, Name = "weights to the GPU" };
            readers[i].Start();
        }

        Array.ForEach(readers, thread => thread.Join());
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
                using var slots = new LoadingSlots(context, largest);
                var reader = new RowReader(_checkpoint);
                for (int index; (index = Interlocked.Increment(ref next)) < chunks.Count && !stop.IsCancellationRequested;)
                {
                    Send(chunks[index], slots, reader, kernels, firstBad.Address);
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

    private void Send(Chunk chunk, LoadingSlots slots, RowReader reader, ConvertKernels kernels, ulong firstBad)
    {
        CudaPlacement placement = _placements[chunk.Placement];
        CheckpointTensor source = placement.Source;
        long bytes = placement.SentBytes(chunk.Count);
        LoadingSlot slot = slots.Next();
        if (placement.Packed is { } packed)
        {
            byte* stored = packed.Matrix(_packed!.Pointer).Data + placement.SentBytes(chunk.First);
            Buffer.MemoryCopy(stored, slot.Host.Pointer, bytes, bytes);
        }
        else if (placement.IsQuantized)
        {
            var panels = new PackedMatrix(slot.Host.Pointer, chunk.Count, source.Cols, placement.Format);
            reader.Read(source, chunk.First, chunk.Count);
            for (int row = 0; row < chunk.Count; row++)
            {
                panels.SetRow(row, reader.Row(row, placement.Format));
            }

            panels.ClearPadding();
        }
        else
        {
            source.ReadRows(chunk.First, chunk.Count, new Span<byte>(slot.Host.Pointer, checked((int)bytes)));
        }

        if (placement.IsQuantized)
        {
            slots.Stream.Upload(placement.Address + (ulong)placement.SentBytes(chunk.First), slot.Host.Pointer, bytes);
        }
        else
        {
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
                SourceType = placement.Packed is null ? (int)source.ElementType : ConvertArguments.PanelsOf(placement.Format),
            });
        }

        slot.Done.Record(slots.Stream);
        _meter.Add(source.ShardIndex, placement.BytesOf(chunk.Count));
    }

    private CheckpointException Refuse(CudaPlacement placement, long element)
    {
        CheckpointTensor source = placement.Source;
        int row = (int)(element / source.Cols), col = (int)(element % source.Cols);
        byte[] stored = new byte[source.BytesOf(1)];
        source.ReadRows(row, 1, stored);
        var values = new float[source.Cols];
        ElementConversion.ToFloat32(stored, source.ElementType, values);
        return WeightFault.At(_checkpoint, source, row, col, values[col]);
    }

    private readonly record struct Chunk(int Placement, int First, int Count);
}
