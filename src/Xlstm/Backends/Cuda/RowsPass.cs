using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>Any batch: the rows of all items lie one after the other and meet each matrix together; only the cell and the logits look at items.</summary>
internal sealed unsafe class RowsPass : IDisposable
{
    /// <summary>Most tokens of a batch.</summary>
    public const int MaxTokens = 2048;

    private const int LogitRows = 128;

    private readonly XlstmConfig _config;
    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly RowsForward _forward;
    private readonly MatMul _matMul;
    private readonly int _elementSize;
    private readonly PinnedBuffer _control;
    private readonly DeviceArena _controlCopy;
    private readonly PinnedBuffer _hostLogits;
    private readonly List<(int Row, Memory<float> Logits)> _outputs = [];
    private RowsWorkspace? _workspace;
    private RowsBatch _batch;

    public RowsPass(XlstmConfig config, CudaContext context, CudaStream stream, RowsForward forward, MatMul matMul, int elementSize)
    {
        (_config, _context, _stream, _forward, _matMul, _elementSize) = (config, context, stream, forward, matMul, elementSize);
        _control = new PinnedBuffer(context, ControlBytes);
        _controlCopy = new DeviceArena(context, stream, "the list of a batch", ControlBytes);
        _hostLogits = new PinnedBuffer(context, sizeof(float) * LogitRows * (long)config.VocabSize);
    }

    /// <summary>Bytes of device memory beside weights and states, at the largest batch.</summary>
    public static long WorkspaceBytes(XlstmConfig config, int elementSize) =>
        ControlBytes + RowsWorkspace.Measure(config, elementSize, MaxTokens, MaxTokens / RowsForward.Chunk, LogitRows);

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

    /// <summary>Runs a batch.</summary>
    public void Run(ReadOnlySpan<BatchItem> items)
    {
        try
        {
            Prepare(items);
            _stream.Upload(Items, _control.Pointer, ControlBytes);
            _forward.Embed(_workspace!, _batch);
            _forward.Blocks(_workspace!, _batch);
            for (int first = 0; first < _outputs.Count; first += LogitRows)
            {
                Logits(first, Math.Min(LogitRows, _outputs.Count - first));
            }

            _stream.Synchronize();
        }
        finally
        {
            _outputs.Clear();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _control.Dispose();
        _controlCopy.Dispose();
        _hostLogits.Dispose();
        _workspace?.Dispose();
    }

    private void Prepare(ReadOnlySpan<BatchItem> items)
    {
        int rows = 0, chunks = 0, longest = 0;
        for (int i = 0; i < items.Length; i++)
        {
            ref readonly BatchItem item = ref items[i];
            ReadOnlySpan<int> tokens = item.Tokens.Span;
            ArgumentOutOfRangeException.ThrowIfZero(tokens.Length, nameof(items));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(rows + tokens.Length, MaxTokens, nameof(items));
            tokens.CopyTo(new Span<int>(HostIds + rows, tokens.Length));
            HostItems[i] = new CellItem { State = ((CudaState)item.State).Address(0), FirstRow = rows, Tokens = tokens.Length };
            HostFirstChunks[i] = chunks;
            int chunksOfItem = (tokens.Length + RowsForward.Chunk - 1) / RowsForward.Chunk;
            chunks += chunksOfItem;
            longest = Math.Max(longest, chunksOfItem);
            int wanted = item.Output switch { Output.None => 0, Output.LastLogits => 1, _ => tokens.Length };
            for (int j = 0; j < wanted; j++)
            {
                HostRows[_outputs.Count] = rows + tokens.Length - wanted + j;
                _outputs.Add((HostRows[_outputs.Count], item.Logits.Slice(j * _config.VocabSize, _config.VocabSize)));
            }

            rows += tokens.Length;
        }

        for (int i = 0; i < rows; i++)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)HostIds[i], (uint)_config.VocabSize, nameof(items));
        }

        bool inChunks = rows > items.Length && _forward.InChunks;
        _batch = new RowsBatch(Items, Ids, rows, items.Length, inChunks ? chunks : 0, longest, FirstChunks);
        Reserve(rows, _batch.Chunks);
    }

    private void Reserve(int rows, int chunks)
    {
        if (rows > (_workspace?.Rows ?? 0) || chunks > (_workspace?.Chunks ?? 0))
        {
            (rows, chunks) = (Math.Max(rows, _workspace?.Rows ?? 0), Math.Max(chunks, _workspace?.Chunks ?? 0));
            _workspace?.Dispose();
            _workspace = null;
            _workspace = new RowsWorkspace(_config, _context, _stream, _matMul, _elementSize, rows, chunks, LogitRows);
        }
    }

    private void Logits(int first, int count)
    {
        _forward.Logits(_workspace!, OutputRows + (ulong)(first * sizeof(int)), count);
        _stream.Download(_hostLogits.Pointer, _workspace!.Logits, sizeof(float) * (long)count * _config.VocabSize);
        _stream.Synchronize();
        for (int i = 0; i < count; i++)
        {
            new ReadOnlySpan<float>((float*)_hostLogits.Pointer + ((long)i * _config.VocabSize), _config.VocabSize).CopyTo(_outputs[first + i].Logits.Span);
        }
    }
}
