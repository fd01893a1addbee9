using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>
/// One token of each of several sequences: decoding a batch. The kernels are recorded once for a number of slots, a power of two,
/// and started as one graph; which states the slots are, the device reads from a table. A slot that nobody has taken has no state:
/// it goes through the products like any other and is left out where states are touched.
/// </summary>
internal sealed unsafe class BatchPass : IPass
{
    /// <summary>Most sequences.</summary>
    public const int MaxItems = FewRows.MaxTokens;

    private readonly StageParts _parts;
    private readonly MatMul _matMul;
    private readonly RowsForward _forward;
    private readonly PinnedBuffer _hostSlots;
    private readonly DeviceArena _slots;
    private readonly LogitsOutput? _output;
    private readonly Dictionary<(int Slots, Output Wanted), CudaGraph> _graphs = [];
    private RowsWorkspace? _workspace;
    private int _slotCount;

    /// <param name="parts">What passes work with.</param>
    /// <param name="matMul">The stage's products.</param>
    /// <param name="forward">The stage's kernels in their order.</param>
    public BatchPass(StageParts parts, MatMul matMul, RowsForward forward)
    {
        (_parts, _matMul, _forward) = (parts, matMul, forward);
        _hostSlots = parts.Owned.Add(new PinnedBuffer(parts.Context, SlotBytes));
        _slots = parts.Owned.Add(new DeviceArena(parts.Context, parts.Stream, "the slots of a batch", SlotBytes));
        if (parts.Stage.HasHead)
        {
            _output = parts.Owned.Add(new LogitsOutput(parts, MaxItems));
        }
    }

    /// <inheritdoc/>
    public ulong X => _workspace!.X;

    private static int SlotBytes => MaxItems * (sizeof(CellItem) + sizeof(int));

    private CellItem* HostItems => (CellItem*)_hostSlots.Pointer;

    private int* HostIds => (int*)(HostItems + MaxItems);

    private ulong Items => _slots[0];

    private ulong Ids => Items + (ulong)(MaxItems * sizeof(CellItem));

    /// <summary>What the kernels of the batch make: nothing but states, logits, or logits and shortlists of them.</summary>
    private Output Wanted => _output is null ? Output.None : _output.HasShortlists ? Output.Shortlist : _output.HasLogits ? Output.LastLogits : Output.None;

    /// <summary>Bytes of device memory beside weights and states, at the largest batch.</summary>
    public static long WorkspaceBytes(XlstmConfig config, ModelStage stage, WeightFormat format, StateFormat state) =>
        SlotBytes + RowsWorkspace.Measure(config, CudaWeights.ElementSizeOf(format), MaxItems, 0, LogitRows(stage), CellStream.MostParts(config, state));

    /// <summary>Whether a batch is one of this kind.</summary>
    public static bool Takes(ReadOnlySpan<BatchItem> items)
    {
        bool singles = items.Length <= MaxItems;
        foreach (ref readonly BatchItem item in items)
        {
            singles &= item.Tokens.Length == 1;
        }

        return singles;
    }

    /// <inheritdoc/>
    public void Prepare(ReadOnlySpan<BatchItem> items, int part)
    {
        _slotCount = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)items.Length);
        _output?.Clear();
        for (int i = 0; i < _slotCount; i++)
        {
            HostItems[i] = new CellItem { FirstRow = i, Tokens = 1 };
            HostIds[i] = 0;
            WantedRow wanted = default;
            if (i < items.Length)
            {
                ref readonly BatchItem item = ref items[i];
                HostIds[i] = item.Tokens.Span[0];
                ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)HostIds[i], (uint)_parts.Config.VocabSize, nameof(items));
                HostItems[i].State = ((CudaState)item.State).Address(part);
                wanted = item.Output == Output.None ? default : WantedRow.Of(item, 0, _parts.Config.VocabSize);
            }

            _output?.Add(wanted);
        }

        _matMul.Load(_slotCount);
        _workspace ??= new RowsWorkspace(_parts, _matMul, MaxItems, 0, LogitRows(_parts.Stage), _forward.CellParts);
        _parts.Stream.Upload(Items, _hostSlots.Pointer, SlotBytes);
        _output?.Upload();
    }

    /// <inheritdoc/>
    public void Queue()
    {
        if (!_graphs.TryGetValue((_slotCount, Wanted), out CudaGraph? graph))
        {
            graph = _parts.Stream.Capture(_parts.Context, Record);
            _graphs.Add((_slotCount, Wanted), graph);
        }

        _parts.Stream.Launch(graph);
    }

    /// <inheritdoc/>
    public void Finish(ReadOnlySpan<BatchItem> items)
    {
        _output?.QueueLogits(_workspace!.Logits);
        _parts.Stream.Synchronize();
        _output?.HandOut();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (CudaGraph graph in _graphs.Values)
        {
            graph.Dispose();
        }

        _workspace?.Dispose();
    }

    private void Record()
    {
        var batch = new RowsBatch(Items, Ids, _slotCount, _slotCount);
        if (_parts.Stage.HasEmbeddings)
        {
            _forward.Embed(_workspace!, batch);
        }

        _forward.Blocks(_workspace!, batch);
        if (Wanted != Output.None)
        {
            _forward.Logits(_workspace!, 0, _slotCount);
        }

        if (Wanted == Output.Shortlist)
        {
            _output!.QueueShortlists(_workspace!.Logits, _slotCount);
        }
    }

    private static int LogitRows(ModelStage stage) => stage.HasHead ? MaxItems : 0;
}
