using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>
/// One token of each of several sequences: decoding a batch. The kernels are recorded once for a number of slots, a power of two,
/// and started as one graph; which states the slots are, the device reads from a table. A slot that nobody has taken has no state:
/// it goes through the products like any other and is left out where states are touched.
/// </summary>
internal sealed unsafe class BatchPass : IDisposable
{
    /// <summary>Most sequences.</summary>
    public const int MaxItems = FewRows.MaxTokens;

    private readonly XlstmConfig _config;
    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly RowsForward _forward;
    private readonly MatMul _matMul;
    private readonly int _elementSize;
    private readonly PinnedBuffer _hostSlots;
    private readonly DeviceArena _slots;
    private readonly Dictionary<(int Slots, bool WithLogits), CudaGraph> _graphs = [];
    private RowsWorkspace? _workspace;
    private PinnedBuffer? _hostLogits;

    public BatchPass(XlstmConfig config, CudaContext context, CudaStream stream, RowsForward forward, MatMul matMul, int elementSize)
    {
        (_config, _context, _stream, _forward, _matMul, _elementSize) = (config, context, stream, forward, matMul, elementSize);
        _hostSlots = new PinnedBuffer(context, SlotBytes);
        _slots = new DeviceArena(context, stream, "the slots of a batch", SlotBytes);
    }

    private static int SlotBytes => MaxItems * (sizeof(CellItem) + sizeof(int));

    private CellItem* HostItems => (CellItem*)_hostSlots.Pointer;

    private int* HostIds => (int*)(HostItems + MaxItems);

    private ulong Items => _slots[0];

    private ulong Ids => Items + (ulong)(MaxItems * sizeof(CellItem));

    /// <summary>Bytes of device memory beside weights and states, at the largest batch.</summary>
    public long WorkspaceBytes => SlotBytes + RowsWorkspace.Measure(_config, _elementSize, MaxItems, 0, MaxItems, _forward.CellParts);

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

    /// <summary>Runs a batch.</summary>
    /// <param name="items">Of one token each.</param>
    public void Run(ReadOnlySpan<BatchItem> items)
    {
        int slots = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)items.Length);
        bool withLogits = false;
        for (int i = 0; i < slots; i++)
        {
            HostItems[i] = new CellItem { FirstRow = i, Tokens = 1 };
            HostIds[i] = 0;
            if (i < items.Length)
            {
                HostIds[i] = items[i].Tokens.Span[0];
                ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)HostIds[i], (uint)_config.VocabSize, nameof(items));
                HostItems[i].State = ((CudaState)items[i].State).Address(0);
                withLogits |= items[i].Output != Output.None;
            }
        }

        _workspace ??= new RowsWorkspace(_config, _context, _stream, _matMul, _elementSize, MaxItems, 0, MaxItems, _forward.CellParts);
        _stream.Upload(Items, _hostSlots.Pointer, SlotBytes);
        _stream.Launch(Graph(slots, withLogits));
        if (withLogits)
        {
            Download(items);
        }

        _stream.Synchronize();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (CudaGraph graph in _graphs.Values)
        {
            graph.Dispose();
        }

        _workspace?.Dispose();
        _hostLogits?.Dispose();
        _slots.Dispose();
        _hostSlots.Dispose();
    }

    private CudaGraph Graph(int slots, bool withLogits)
    {
        if (!_graphs.TryGetValue((slots, withLogits), out CudaGraph? graph))
        {
            graph = _stream.Capture(_context, () =>
            {
                var batch = new RowsBatch(Items, Ids, slots, slots);
                _forward.Embed(_workspace!, batch);
                _forward.Blocks(_workspace!, batch);
                if (withLogits)
                {
                    _forward.Logits(_workspace!, 0, slots);
                }
            });
            _graphs.Add((slots, withLogits), graph);
        }

        return graph;
    }

    private void Download(ReadOnlySpan<BatchItem> items)
    {
        _hostLogits ??= new PinnedBuffer(_context, RowBytes * MaxItems);
        _stream.Download(_hostLogits.Pointer, _workspace!.Logits, RowBytes * items.Length);
        _stream.Synchronize();
        for (int i = 0; i < items.Length; i++)
        {
            if (items[i].Output != Output.None)
            {
                new ReadOnlySpan<float>(_hostLogits.Pointer + (i * RowBytes), _config.VocabSize).CopyTo(items[i].Logits.Span);
            }
        }
    }

    private long RowBytes => sizeof(float) * (long)_config.VocabSize;
}
