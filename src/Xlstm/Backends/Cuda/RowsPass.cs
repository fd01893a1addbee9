using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>Any batch: the rows of all items lie one after the other and meet each matrix together; only the cell and the logits look at items.</summary>
internal sealed unsafe class RowsPass : IPass
{
    /// <summary>Most tokens of a batch.</summary>
    public const int MaxTokens = 2048;

    private const int LogitRows = 64;
    private const int Threads = 256;
    private const int CellColumns = 32;
    private const int ScratchFloats = 32;

    // cell_rows.cu, chunk.cuh: tokens of a chunk, rows of C of a tile.
    private const int Chunk = 64;
    private const int CellTile = 32;
    private const int ChunkScalarFloats = 3 * Chunk;

    private readonly XlstmConfig _config;
    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly CudaWeights _weights;
    private readonly KernelSet _kernels;
    private readonly CudaStateLayout _states;
    private readonly ModelStage _stage;
    private readonly CellStep _cellStep;
    private readonly MatMul _matMul;
    private readonly CudaKernel? _scan;
    private readonly PinnedBuffer _control;
    private readonly DeviceArena _controlCopy;
    private readonly PinnedBuffer? _hostLogits;
    private readonly DeviceArena? _logits;
    private readonly List<(int Row, Memory<float> Logits)> _outputs = [];
    private DeviceArena? _arena;
    private int _capacity;
    private int _rows;
    private int _items;
    private int _chunks;
    private int _chunkCapacity;
    private int _longest;
    private bool _singles;

    public RowsPass(StageParts parts)
    {
        (OwnedResources owned, _config, _context, _stream, _stage, _weights, _kernels, _states) = parts;
        (XlstmConfig config, CudaContext context, KernelSet kernels) = (_config, _context, _kernels);
        _cellStep = new CellStep(config, context, kernels, _states.Format);
        _control = owned.Add(new PinnedBuffer(context, ControlBytes));
        _controlCopy = owned.Add(new DeviceArena(context, _stream, "the list of a batch", ControlBytes));
        if (_stage.HasHead)
        {
            _hostLogits = owned.Add(new PinnedBuffer(context, Floats(LogitRows * (long)config.VocabSize)));
            _logits = owned.Add(new DeviceArena(context, _stream, "logits", LogitSizes(config, _weights.ElementSize)));
        }

        _matMul = owned.Add(new MatMul(config, context, _stream, _weights, kernels));
        SharedMemory.Allow(context, kernels.NormRows, NormSharedBytes, $"a width of {config.EmbeddingDim}");
        SharedMemory.Allow(context, kernels.CellRows, CellRowsSharedBytes, $"a head width of {config.QkHeadDim}");
        CudaKernel? scan = config.QkHeadDim switch { 128 => kernels.CellScan128, 256 => kernels.CellScan256, _ => null };
        if (scan is not null && config.VHeadDim % CellColumns == 0 && ScanSharedBytes <= context.Device.MaxSharedBytes)
        {
            _scan = scan;
            SharedMemory.Allow(context, scan, ScanSharedBytes, "the model");
            SharedMemory.Allow(context, kernels.CellScores!, ScoresSharedBytes, "the model");
        }
    }

    /// <summary>Bytes of device memory beside weights and states, at the largest batch.</summary>
    public static long WorkspaceBytes(XlstmConfig config, ModelStage stage, WeightFormat format)
    {
        int elementSize = format == WeightFormat.Float32 ? sizeof(float) : sizeof(ushort);
        long ofProducts = format is WeightFormat.Int8 or WeightFormat.Int4 ? QuantizedMatMul.WorkspaceBytes(config) : 0;
        return ControlBytes + ofProducts + (stage.HasHead ? LogitSizes(config, elementSize).Sum() : 0) + Sizes(config, elementSize, MaxTokens, MaxTokens / Chunk).Sum(bytes => bytes + 256);
    }

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
    public ulong X => _arena![0];

    /// <summary>Input of a product: a norm's rows or the gated heads.</summary>
    private ulong Input => _arena![1];

    private ulong Qkvo => _arena![2];

    private ulong Gates => _arena![3];

    private ulong H => _arena![4];

    /// <summary>silu(gate) up; its padding stays zero from the start.</summary>
    private ulong Ffn => _arena![5];

    private ulong NewN => _arena![6];

    private ulong NewM => _arena![7];

    /// <summary>Of the chunks of all items, bfloat16 [chunks, H, Chunk, Chunk]; and their scalars.</summary>
    private ulong Scores => _arena![8];

    private ulong ChunkScalars => _arena![9];

    private int NormSharedBytes => sizeof(float) * (ScratchFloats + CudaMatrix.Pad(_config.EmbeddingDim));

    private int ScoresSharedBytes => (2 * Chunk * _config.QkHeadDim * sizeof(ushort)) + Math.Max(1024, (int)Floats(ChunkScalarFloats));

    // cell_chunks.cu: two buffers of q, k, scores and scalars; v twice and C in rows of 128 bytes.
    private int ScanSharedBytes =>
        (2 * sizeof(ushort) * Chunk * ((2 * _config.QkHeadDim) + Chunk)) + (128 * ((2 * Chunk) + _config.QkHeadDim)) + (2 * (int)Floats(ChunkScalarFloats));

    private int CellRowsSharedBytes
    {
        get
        {
            int depth = (_config.QkHeadDim + CellTile - 1) / CellTile * CellTile;
            return sizeof(float) * ((depth * (CellColumns + 8 + 1)) + (2 * Chunk * (CellTile + 4)) + (Chunk * (CellColumns + 8)) + (Chunk * (Chunk + 4)) + (6 * Chunk) + 4);
        }
    }

    /// <inheritdoc/>
    public void Prepare(ReadOnlySpan<BatchItem> items, int part)
    {
        _rows = 0;
        _items = items.Length;
        _singles = true;
        _outputs.Clear();
        for (int i = 0; i < items.Length; i++)
        {
            ref readonly BatchItem item = ref items[i];
            ReadOnlySpan<int> tokens = item.Tokens.Span;
            ArgumentOutOfRangeException.ThrowIfZero(tokens.Length, nameof(items));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(_rows + tokens.Length, MaxTokens, nameof(items));
            tokens.CopyTo(new Span<int>(HostIds + _rows, tokens.Length));
            HostItems[i] = new CellItem { State = ((CudaState)item.State).Address(part), FirstRow = _rows, Tokens = tokens.Length };
            _singles &= tokens.Length == 1;
            int wanted = !_stage.HasHead || item.Output == Output.None ? 0 : item.Output == Output.LastLogits ? 1 : tokens.Length;
            for (int j = 0; j < wanted; j++)
            {
                _outputs.Add((_rows + tokens.Length - wanted + j, item.Logits.Slice(j * _config.VocabSize, _config.VocabSize)));
            }

            _rows += tokens.Length;
        }

        for (int i = 0; i < _rows; i++)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)HostIds[i], (uint)_config.VocabSize, nameof(items));
        }

        for (int i = 0; i < _outputs.Count; i++)
        {
            HostRows[i] = _outputs[i].Row;
        }

        CountChunks(items);
        MakeRoom();
        _stream.Upload(Items, _control.Pointer, ControlBytes);
    }

    /// <inheritdoc/>
    public void Queue()
    {
        if (_stage.HasEmbeddings)
        {
            _stream.Launch(_kernels.Embed, _rows, 1, Threads, 0, new EmbedArguments
            {
                Embeddings = _weights.Embeddings.Address,
                Ids = Ids,
                X = X,
                Cols = _weights.Embeddings.Stride,
                Width = _config.EmbeddingDim,
            });
        }

        for (int block = 0; block < _weights.Blocks.Length; block++)
        {
            Mlstm(block, _weights.Blocks[block]);
            FeedForward(_weights.Blocks[block]);
        }
    }

    /// <inheritdoc/>
    public void Finish(ReadOnlySpan<BatchItem> items)
    {
        for (int first = 0; first < _outputs.Count; first += LogitRows)
        {
            Logits(first, Math.Min(LogitRows, _outputs.Count - first));
        }

        _stream.Synchronize();
        _outputs.Clear();
    }

    /// <inheritdoc/>
    public void Dispose() => _arena?.Dispose();

    private static long Floats(long count) => sizeof(float) * count;

    /// <summary>Grows the workspace to what the batch needs.</summary>
    private void MakeRoom()
    {
        if (_rows > _capacity || _chunks > _chunkCapacity)
        {
            (int rows, int chunks) = (Math.Max(_rows, _capacity), Math.Max(_chunks, _chunkCapacity));
            _capacity = _chunkCapacity = 0;
            _arena?.Dispose();
            _arena = null;
            _arena = new DeviceArena(_context, _stream, $"the workspace of {rows} tokens", Sizes(_config, _weights.ElementSize, rows, chunks));
            (_capacity, _chunkCapacity) = (rows, chunks);
            _matMul.SetInput(MatMulInput.Norm, Input, rows, CudaMatrix.Pad(_config.EmbeddingDim));
            _matMul.SetInput(MatMulInput.Heads, Input, rows, CudaMatrix.Pad(_config.VDim));
            _matMul.SetInput(MatMulInput.Ffn, Ffn, rows, CudaMatrix.Pad(_config.FfnDim));
            _matMul.InputsSet();
        }
    }

    private void CountChunks(ReadOnlySpan<BatchItem> items)
    {
        _chunks = _longest = 0;
        if (_singles || _scan is null)
        {
            return;
        }

        for (int i = 0; i < items.Length; i++)
        {
            int chunks = (items[i].Tokens.Length + Chunk - 1) / Chunk;
            HostFirstChunks[i] = _chunks;
            _chunks += chunks;
            _longest = Math.Max(_longest, chunks);
        }
    }

    private static long[] LogitSizes(XlstmConfig c, int elementSize) =>
        [Floats(LogitRows * (long)c.VocabSize), LogitRows * (long)CudaMatrix.Pad(c.EmbeddingDim) * elementSize];

    private static long[] Sizes(XlstmConfig c, int elementSize, int rows, int chunks)
    {
        return
        [
            Floats((long)rows * c.EmbeddingDim),
            (long)rows * Math.Max(CudaMatrix.Pad(c.EmbeddingDim), CudaMatrix.Pad(c.VDim)) * elementSize,
            Floats((long)rows * ((2 * c.QkDim) + (2 * c.VDim))),
            Floats((long)rows * 2 * c.NumHeads),
            Floats((long)rows * c.VDim),
            (long)rows * CudaMatrix.Pad(c.FfnDim) * elementSize,
            Floats((long)rows * c.QkDim),
            Floats((long)rows * c.NumHeads),
            (long)chunks * c.NumHeads * Chunk * Chunk * sizeof(ushort),
            Floats((long)chunks * c.NumHeads * ChunkScalarFloats),
        ];
    }

    private void Mlstm(int block, CudaBlockWeights w)
    {
        XlstmConfig c = _config;

        // The cell in bfloat16 products takes q, k, v, o as such.
        bool half = _chunks > 0;
        Norm(w.NormMlstm, X, 0, _rows, Input, w.Gates);
        _matMul.Run(half ? MatMulResult.StoreHalf : MatMulResult.Store, w.Qkvo, MatMulInput.Norm, Qkvo, _rows, w.Qkvo.Rows);
        if (half)
        {
            CellInChunks(w, block);
        }
        else
        {
            Cell(w, block);
        }

        _stream.Launch(half ? _kernels.HeadRowsHalf! : _kernels.HeadRows, _rows, 1, Threads, 0, new HeadRowsArguments
        {
            H = H,
            Gate = Qkvo + (ulong)((half ? sizeof(ushort) : sizeof(float)) * ((2 * c.QkDim) + c.VDim)),
            Norm = w.MultiheadNorm.Weight,
            NormBias = w.MultiheadNorm.Bias,
            Out = Input,
            Commit = new CellCommit
            {
                Items = Items,
                NewN = NewN,
                NewM = NewM,
                NOffset = _states.VectorFloats(block),
                Count = _items,
                Heads = c.NumHeads,
                Dqk = c.QkHeadDim,
            },
            Width = c.VDim,
            Cols = CudaMatrix.Pad(c.VDim),
            GateStride = w.Qkvo.Rows,
            Heads = c.NumHeads,
            Eps = c.NormEps,
        });
        _matMul.Run(MatMulResult.Add, w.OutProj, MatMulInput.Heads, X, _rows, c.EmbeddingDim);
    }

    private void Cell(CudaBlockWeights w, int block)
    {
        XlstmConfig c = _config;
        var arguments = new CellArguments
        {
            Items = Items,
            Qkvo = Qkvo,
            Gates = Gates,
            H = H,
            NewN = NewN,
            NewM = NewM,
            BlockOffset = _states.BlockFloats(block),
            Stride = w.Qkvo.Rows,
            Heads = c.NumHeads,
            Dqk = c.QkHeadDim,
            Dv = c.VHeadDim,
            GateCap = c.GateSoftCap ?? 0,
            Eps = c.Eps,
        };
        if (_singles)
        {
            _cellStep.Launch(_stream, arguments, _items);
            return;
        }

        int slices = (c.VHeadDim + CellColumns - 1) / CellColumns;
        _stream.Launch(_kernels.CellRows, c.NumHeads * slices, _items, Threads, CellRowsSharedBytes, arguments);
    }

    private void CellInChunks(CudaBlockWeights w, int block)
    {
        XlstmConfig c = _config;
        var arguments = new CellChunksArguments
        {
            Items = Items,
            Qkvo = Qkvo,
            Gates = Gates,
            H = H,
            NewN = NewN,
            NewM = NewM,
            Scores = Scores,
            Scalars = ChunkScalars,
            FirstChunk = FirstChunks,
            BlockOffset = _states.BlockFloats(block),
            Stride = w.Qkvo.Rows,
            Heads = c.NumHeads,
            Dqk = c.QkHeadDim,
            Dv = c.VHeadDim,
            GateCap = c.GateSoftCap ?? 0,
            Eps = c.Eps,
        };
        _stream.Launch(_kernels.CellScores!, c.NumHeads, _longest, Threads, ScoresSharedBytes, arguments, _items);
        _stream.Launch(_scan!, c.NumHeads * (c.VHeadDim / CellColumns), _items, Threads, ScanSharedBytes, arguments);
    }

    private void FeedForward(CudaBlockWeights w)
    {
        Norm(w.NormFfn, X, 0, _rows, Input, default);
        _matMul.Run(MatMulResult.SwiGlu, w.GateUp, MatMulInput.Norm, Ffn, _rows, CudaMatrix.Pad(_config.FfnDim));
        _matMul.Run(MatMulResult.Add, w.ProjDown, MatMulInput.Ffn, X, _rows, _config.EmbeddingDim);
    }

    private void Logits(int first, int count)
    {
        Norm(_weights.OutNorm, X, OutputRows + (ulong)(first * sizeof(int)), count, _logits![1], default);
        _matMul.Logits(_weights.LmHead, _logits[1], _logits[0], count);
        _stream.Download(_hostLogits!.Pointer, _logits[0], Floats((long)count * _config.VocabSize));
        _stream.Synchronize();
        for (int i = 0; i < count; i++)
        {
            new ReadOnlySpan<float>((float*)_hostLogits.Pointer + ((long)i * _config.VocabSize), _config.VocabSize).CopyTo(_outputs[first + i].Logits.Span);
        }
    }

    private void Norm(CudaNorm norm, ulong x, ulong rowOf, int rows, ulong output, CudaMatrix gates) =>
        _stream.Launch(_kernels.NormRows, rows, 1, Threads, NormSharedBytes, new NormRowsArguments
        {
            X = x,
            RowOf = rowOf,
            Norm = norm.Weight,
            NormBias = norm.Bias,
            Out = output,
            GateWeights = gates.Address,
            GateBias = gates.Bias,
            GateOut = Gates,
            Width = _config.EmbeddingDim,
            Cols = CudaMatrix.Pad(_config.EmbeddingDim),
            GateRows = gates.Rows,
            Eps = _config.NormEps,
        });
}
