using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>A row of logits that somebody wants: all of it on the host, or a shortlist while it stays with the state.</summary>
/// <param name="Logits">float32 [V] to write, without a shortlist.</param>
/// <param name="Shortlist">What to fill instead.</param>
/// <param name="State">Where the logits stay then.</param>
internal readonly record struct WantedRow(Memory<float> Logits, Shortlist? Shortlist, CudaState? State)
{
    /// <summary>What an item wants of one of its positions.</summary>
    /// <param name="item">Which wants something.</param>
    /// <param name="position">Which of those it wants, from 0.</param>
    /// <param name="vocabSize">V.</param>
    public static WantedRow Of(in BatchItem item, int position, int vocabSize) => item.Output == Output.Shortlist
        ? new WantedRow(default, item.Shortlist, (CudaState)item.State)
        : new WantedRow(item.Logits.Slice(position * vocabSize, vocabSize), null, null);
}

/// <summary>Hands rows of logits out. Per batch: rows are added, then the table that says what becomes of them goes to the device, then the device does it.</summary>
internal sealed unsafe class LogitsOutput : IDisposable
{
    private readonly StageParts _parts;
    private readonly ShortlistKernel _shortlists;
    private readonly PinnedBuffer _hostTable;
    private readonly DeviceArena _table;
    private readonly List<WantedRow> _rows = [];
    private PinnedBuffer? _host;

    /// <param name="parts">Of the stage with lm_head.</param>
    /// <param name="capacity">Most rows.</param>
    public LogitsOutput(StageParts parts, int capacity)
    {
        (_parts, Capacity) = (parts, capacity);
        _shortlists = parts.Owned.Add(new ShortlistKernel(parts.Context, parts.Stream, parts.Kernels, parts.Config.VocabSize, capacity));
        _hostTable = parts.Owned.Add(new PinnedBuffer(parts.Context, capacity * sizeof(ShortlistItem)));
        _table = parts.Owned.Add(new DeviceArena(parts.Context, parts.Stream, "the list of wanted logits", capacity * sizeof(ShortlistItem)));
    }

    /// <summary>Most rows.</summary>
    public int Capacity { get; }

    /// <summary>Whether any row wants a shortlist.</summary>
    public bool HasShortlists { get; private set; }

    /// <summary>Whether any row is wanted whole.</summary>
    public bool HasLogits { get; private set; }

    private long RowBytes => sizeof(float) * (long)_parts.Config.VocabSize;

    /// <summary>Forgets the rows.</summary>
    public void Clear()
    {
        _rows.Clear();
        HasShortlists = HasLogits = false;
    }

    /// <summary>Adds the next row; one that nobody wants is left empty.</summary>
    public void Add(in WantedRow row)
    {
        var items = (ShortlistItem*)_hostTable.Pointer;
        items[_rows.Count] = row is { Shortlist: { } shortlist, State: { } state } ? _shortlists.Item(shortlist, state.Logits, _rows.Count, _rows.Count) : default;
        HasShortlists |= row.Shortlist is not null;
        HasLogits |= !row.Logits.IsEmpty;
        _rows.Add(row);
    }

    /// <summary>Queues the copy of the table.</summary>
    public void Upload()
    {
        if (HasShortlists)
        {
            _parts.Stream.Upload(_table[0], _hostTable.Pointer, _rows.Count * sizeof(ShortlistItem));
        }
    }

    /// <summary>Queues the shortlists.</summary>
    /// <param name="logits">float32 [count, V].</param>
    /// <param name="count">Rows.</param>
    public void QueueShortlists(ulong logits, int count) => _shortlists.Launch(logits, _table[0], count);

    /// <summary>Queues the copy of the logits if any row is wanted whole.</summary>
    /// <param name="logits">float32 [rows, V].</param>
    public void QueueLogits(ulong logits)
    {
        if (HasLogits)
        {
            _host ??= new PinnedBuffer(_parts.Context, Capacity * RowBytes);
            _parts.Stream.Download(_host.Pointer, logits, _rows.Count * RowBytes);
        }
    }

    /// <summary>Hands all rows out, once the stream has come past.</summary>
    public void HandOut()
    {
        for (int i = 0; i < _rows.Count; i++)
        {
            WantedRow row = _rows[i];
            if (row.Shortlist is not null)
            {
                _shortlists.Take(row.Shortlist, i);
            }
            else if (!row.Logits.IsEmpty)
            {
                new ReadOnlySpan<float>(_host!.Pointer + (i * RowBytes), _parts.Config.VocabSize).CopyTo(row.Logits.Span);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _host?.Dispose();
}
