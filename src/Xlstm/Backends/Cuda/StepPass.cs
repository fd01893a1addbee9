using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>One token of one sequence: five kernels a block, recorded once as a graph and started as one.</summary>
internal sealed unsafe class StepPass : IPass
{
    private const int Threads = 256;

    // What the host tells the device: the item, the token id, what is wanted of the logits.
    private const int ControlBytes = 96;
    private const int IdOffset = 32;
    private const int ShortlistOffset = 64;

    private readonly XlstmConfig _config;
    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly CudaWeights _weights;
    private readonly KernelSet _kernels;
    private readonly CudaStateLayout _states;
    private readonly ModelStage _stage;
    private readonly DeviceArena _arena;
    private readonly PinnedBuffer _host;
    private readonly CellStep _cell;
    private readonly MatVec _qkvo;
    private readonly MatVec _out;
    private readonly MatVec _up;
    private readonly MatVec _down;
    private readonly MatVec? _lmHead;
    private readonly ShortlistKernel? _shortlist;
    private CudaGraph? _graph;
    private CudaGraph? _graphWithLogits;
    private CudaGraph? _graphWithShortlist;
    private Output _wanted;

    public StepPass(StageParts parts)
    {
        (OwnedResources owned, _config, _context, _stream, _stage, _weights, _kernels, _states) = parts;
        XlstmConfig config = _config;
        int logits = _stage.HasHead ? config.VocabSize : 0;
        _arena = owned.Add(new DeviceArena(_context, _stream, "the workspace of a step", Sizes(config, _stage)));
        _host = owned.Add(new PinnedBuffer(_context, ControlBytes + Floats(logits)));

        // The copy engine's kernel takes a head as whole vectors of one warp, and its gates one a block of threads.
        CudaBlockWeights block = _weights.Blocks[0];
        StreamInputs wholeHeads = config.VHeadDim % 256 == 0 ? StreamInputs.Short : StreamInputs.None;
        StreamInputs gatesFit = 2 * config.NumHeads <= _context.Device.Multiprocessors ? StreamInputs.Short : StreamInputs.None;
        _qkvo = MatVec.For(_context, _kernels, "qkvo", gatesFit, block.Qkvo);
        _out = MatVec.For(_context, _kernels, "out", wholeHeads, block.OutProj, config.VHeadDim);
        _up = MatVec.For(_context, _kernels, "up", StreamInputs.Short, block.GateUp);
        _down = MatVec.For(_context, _kernels, "down", StreamInputs.Long, block.ProjDown);
        if (_stage.HasHead)
        {
            _lmHead = config.AddOutNorm
                ? MatVec.For(_context, _kernels, "logits", StreamInputs.Short, _weights.LmHead)
                : MatVec.For(_context, _kernels, "logits_plain", StreamInputs.None, _weights.LmHead);
            _shortlist = owned.Add(new ShortlistKernel(_context, _stream, _kernels, config.VocabSize, capacity: 1));
        }

        _cell = new CellStep(config, _context, _kernels, _states.Format);
    }

    private ulong Control => _arena[0];

    /// <inheritdoc/>
    public ulong X => _arena[1];

    private ulong Qkvo => _arena[2];

    private ulong Gates => _arena[3];

    private ulong H => _arena[4];

    private ulong Ffn => _arena[5];

    private ulong NewN => _arena[6];

    private ulong NewM => _arena[7];

    private ulong Logits => _arena[8];

    /// <summary>Bytes of device memory.</summary>
    public static long WorkspaceBytes(XlstmConfig config, ModelStage stage) => DeviceArena.Measure(Sizes(config, stage));

    /// <inheritdoc/>
    public void Prepare(ReadOnlySpan<BatchItem> items, int part)
    {
        BatchItem item = items[0];
        int id = item.Tokens.Span[0];
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)id, (uint)_config.VocabSize, nameof(items));
        var state = (CudaState)item.State;
        _wanted = _stage.HasHead ? item.Output : Output.None;
        *(CellItem*)_host.Pointer = new CellItem { State = state.Address(part), FirstRow = 0, Tokens = 1 };
        *(int*)(_host.Pointer + IdOffset) = id;
        if (_wanted == Output.Shortlist)
        {
            *(ShortlistItem*)(_host.Pointer + ShortlistOffset) = _shortlist!.Item(item.Shortlist!, state.Logits, row: 0, place: 0);
        }

        _stream.Upload(Control, _host.Pointer, ControlBytes);
    }

    /// <inheritdoc/>
    public void Queue()
    {
        switch (_wanted)
        {
            case Output.None:
                _stream.Launch(_graph ??= _stream.Capture(_context, QueueBlocks));
                break;
            case Output.Shortlist:
                _stream.Launch(_graphWithShortlist ??= _stream.Capture(_context, QueueShortlist));
                break;
            default:
                _stream.Launch(_graphWithLogits ??= _stream.Capture(_context, QueueLogits));
                _stream.Download(_host.Pointer + ControlBytes, Logits, Floats(_config.VocabSize));
                break;
        }
    }

    /// <inheritdoc/>
    public void Finish(ReadOnlySpan<BatchItem> items)
    {
        _stream.Synchronize();
        if (_wanted == Output.Shortlist)
        {
            _shortlist!.Take(items[0].Shortlist!, place: 0);
        }
        else if (_wanted != Output.None)
        {
            new ReadOnlySpan<float>(_host.Pointer + ControlBytes, _config.VocabSize).CopyTo(items[0].Logits.Span);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _graph?.Dispose();
        _graphWithLogits?.Dispose();
        _graphWithShortlist?.Dispose();
    }

    private static long[] Sizes(XlstmConfig config, ModelStage stage) =>
    [
        ControlBytes,
        Floats(config.EmbeddingDim),
        Floats((2 * config.QkDim) + (2 * config.VDim)),
        Floats(2 * config.NumHeads),
        Floats(config.VDim),
        Floats(config.FfnDim),
        Floats(config.QkDim),
        Floats(config.NumHeads),
        Floats(stage.HasHead ? config.VocabSize : 0),
    ];

    private static long Floats(int count) => sizeof(float) * (long)count;

    private void QueueBlocks()
    {
        XlstmConfig c = _config;
        if (_stage.HasEmbeddings)
        {
            _stream.Launch(_kernels.Embed, 1, 1, Threads, 0, new EmbedArguments
            {
                Embeddings = _weights.Embeddings.Address,
                Ids = Control + IdOffset,
                X = X,
                Cols = _weights.Embeddings.Stride,
                Width = c.EmbeddingDim,
            });
        }

        for (int block = 0; block < _weights.Blocks.Length; block++)
        {
            QueueBlock(block);
        }
    }

    private void QueueLogits()
    {
        QueueBlocks();
        MatVecArguments logits = Product(_weights.LmHead, X, Logits, _weights.Blocks[0].Qkvo) with { Cap = _config.OutputLogitSoftCap ?? 0 };
        logits.Norm = _weights.OutNorm.Weight;
        logits.NormBias = _weights.OutNorm.Bias;
        _lmHead!.Launch(_stream, logits);
    }

    private void QueueShortlist()
    {
        QueueLogits();
        _shortlist!.Launch(Logits, Control + ShortlistOffset, 1);
    }

    private void QueueBlock(int block)
    {
        XlstmConfig c = _config;
        CudaBlockWeights w = _weights.Blocks[block];
        MatVecArguments qkvo = Product(w.Qkvo, X, Qkvo, w.OutProj);
        (qkvo.Norm, qkvo.NormBias) = (w.NormMlstm.Weight, w.NormMlstm.Bias);
        (qkvo.GateWeights, qkvo.GateBias, qkvo.GateOut, qkvo.GateRows) = (w.Gates.Address, w.Gates.Bias, Gates, w.Gates.Rows);
        _qkvo.Launch(_stream, qkvo);

        CellArguments cell = CellArguments.For(c, _states, block, w) with { Items = Control, Qkvo = Qkvo, Gates = Gates, H = H, NewN = NewN, NewM = NewM };
        _cell.Launch(_stream, cell, items: 1);

        MatVecArguments project = Product(w.OutProj, H, X, w.GateUp);
        project.Gate = Qkvo + (ulong)Floats((2 * c.QkDim) + c.VDim);
        (project.Norm, project.NormBias, project.Heads) = (w.MultiheadNorm.Weight, w.MultiheadNorm.Bias, c.NumHeads);
        project.Commit = CellCommit.For(c, _states, block) with { Items = Control, NewN = NewN, NewM = NewM, Count = 1 };
        _out.Launch(_stream, project);

        MatVecArguments up = Product(w.GateUp, X, Ffn, w.ProjDown);
        (up.Norm, up.NormBias) = (w.NormFfn.Weight, w.NormFfn.Bias);
        _up.Launch(_stream, up);
        _down.Launch(_stream, Product(w.ProjDown, Ffn, X, block + 1 < _weights.Blocks.Length ? _weights.Blocks[block + 1].Qkvo : _weights.LmHead));
    }

    private MatVecArguments Product(CudaMatrix matrix, ulong input, ulong output, CudaMatrix next) => new()
    {
        Next = MatVec.Upcoming(next),
        Weights = matrix.Address,
        Bias = matrix.Bias,
        X = input,
        Out = output,
        Rows = matrix.Rows,
        Cols = matrix.Stride,
        Width = matrix.Cols,
        Eps = _config.NormEps,
    };
}
