using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>Any batch: the rows of all items lie one after the other and meet each matrix together; only the cell and the logits look at items.</summary>
internal sealed unsafe class RowsPass : IPass
{
    /// <summary>Most tokens of a batch.</summary>
    public const int MaxTokens = 2048;

    private const int LogitRows = 128;

    private readonly StageParts _parts;
    private readonly MatMul _matMul;
    private readonly RowsForward _forward;
    private readonly PinnedBuffer _control;
    private readonly DeviceArena _controlCopy;
    private readonly LogitsOutput? _output;
    private readonly List<WantedRow> _wanted = [];
    private RowsWorkspace? _workspace;
    private RowsBatch _batch;

    /// <param name="parts">What passes work with.</param>
    /// <param name="matMul">The stage's products.</param>
    /// <param name="forward">The stage's kernels in their order.</param>
    public RowsPass(StageParts parts, MatMul matMul, RowsForward forward)
    {
        (_parts, _matMul, _forward) = (parts, matMul, forward);
        _control = parts.Owned.Add(new PinnedBuffer(parts.Context, ControlBytes));
        _controlCopy = parts.Owned.Add(new DeviceArena(parts.Context, parts.Stream, "the list of a batch", ControlBytes));
        if (parts.Stage.HasHead)
        {
            _output = parts.Owned.Add(new LogitsOutput(parts, LogitRows));
        }
    }

    /// <inheritdoc/>
    public ulong X => _workspace!.X;

    /// <summary>Bytes of device memory beside weights and states, at the largest batch.</summary>
    public static long WorkspaceBytes(XlstmConfig config, ModelStage stage, WeightFormat format) =>
        ControlBytes + (format is WeightFormat.Int8 or WeightFormat.Int4 ? QuantizedMatMul.WorkspaceBytes(config) : 0) + RowsWorkspace.Measure(config, CudaWeights.ElementSizeOf(format), MaxTokens, MaxTokens / RowsForward.Chunk, stage.HasHead ? LogitRows : 0);

    private static int ControlBytes => MaxTokens * (sizeof(CellItem) + (3 * sizeof(int)));

    private CellItem* HostItems => (CellItem*)_control.Pointer;

    private int* HostIds => (int*)(HostItems + MaxTokens);

    private int* HostRows => HostIds + MaxTokens;

    /// <summary>The number among all chunks of each item's first.</summary>
    private int* HostFirstChunks => HostRows + MaxTokens;

    private ulong Items => _controlCopy[0];

    private ulong Ids => Items + (ulong)(MaxTokens * sizeof(CellItem));

    private ulong OutputRows => Ids + (ulong)(MaxTokens * sizeof(int));

    private ulong FirstChunks => OutputRows + (ulong)(MaxTokens * sizeof(int));

    /// <inheritdoc/>
    public void Prepare(ReadOnlySpan<BatchItem> items, int part)
    {
        _wanted.Clear();
        int rows = 0, chunks = 0, longest = 0, vocabSize = _parts.Config.VocabSize;
        for (int i = 0; i < items.Length; i++)
        {
            ref readonly BatchItem item = ref items[i];
            ReadOnlySpan<int> tokens = item.Tokens.Span;
            ArgumentOutOfRangeException.ThrowIfZero(tokens.Length, nameof(items));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(rows + tokens.Length, MaxTokens, nameof(items));
            tokens.CopyTo(new Span<int>(HostIds + rows, tokens.Length));
            HostItems[i] = new CellItem { State = ((CudaState)item.State).Address(part), FirstRow = rows, Tokens = tokens.Length };
            HostFirstChunks[i] = chunks;
            int chunksOfItem = (tokens.Length + RowsForward.Chunk - 1) / RowsForward.Chunk;
            chunks += chunksOfItem;
            longest = Math.Max(longest, chunksOfItem);
            int wanted = !_parts.Stage.HasHead || item.Output == Output.None ? 0 : item.Output == Output.AllLogits ? tokens.Length : 1;
            for (int j = 0; j < wanted; j++)
            {
                HostRows[_wanted.Count] = rows + tokens.Length - wanted + j;
                _wanted.Add(WantedRow.Of(item, j, vocabSize));
            }

            rows += tokens.Length;
        }

        for (int i = 0; i < rows; i++)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)HostIds[i], (uint)vocabSize, nameof(items));
        }

        bool inChunks = rows > items.Length && _forward.InChunks;
        _batch = new RowsBatch(Items, Ids, rows, items.Length, inChunks ? chunks : 0, longest, FirstChunks);
        Reserve(rows, _batch.Chunks);
        _matMul.Load(rows);
        _parts.Stream.Upload(Items, _control.Pointer, ControlBytes);
    }

    /// <inheritdoc/>
    public void Queue()
    {
        if (_parts.Stage.HasEmbeddings)
        {
            _forward.Embed(_workspace!, _batch);
        }

        _forward.Blocks(_workspace!, _batch);
    }

    /// <inheritdoc/>
    public void Finish(ReadOnlySpan<BatchItem> items)
    {
        for (int first = 0; first < _wanted.Count; first += LogitRows)
        {
            Logits(first, Math.Min(LogitRows, _wanted.Count - first));
        }

        _parts.Stream.Synchronize();
        _wanted.Clear();
    }

    /// <inheritdoc/>
    public void Dispose() => _workspace?.Dispose();

    private void Reserve(int rows, int chunks)
    {
        if (rows > (_workspace?.Rows ?? 0) || chunks > (_workspace?.Chunks ?? 0))
        {
            (rows, chunks) = (Math.Max(rows, _workspace?.Rows ?? 0), Math.Max(chunks, _workspace?.Chunks ?? 0));
            _workspace?.Dispose();
            _workspace = null;
            _workspace = new RowsWorkspace(_parts, _matMul, rows, chunks, _parts.Stage.HasHead ? LogitRows : 0);
        }
    }

    private void Logits(int first, int count)
    {
        LogitsOutput output = _output!;
        output.Clear();
        for (int i = 0; i < count; i++)
        {
            output.Add(_wanted[first + i]);
        }

        _matMul.Load(count);
        _forward.Logits(_workspace!, OutputRows + (ulong)(first * sizeof(int)), count);
        output.Upload();
        if (output.HasShortlists)
        {
            output.QueueShortlists(_workspace!.Logits, count);
        }

        output.QueueLogits(_workspace!.Logits);
        _parts.Stream.Synchronize();
        output.HandOut();
    }
}
