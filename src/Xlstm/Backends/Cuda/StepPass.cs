using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>One token of one sequence: five kernels a block, recorded once as a graph and started as one.</summary>
internal sealed unsafe class StepPass : IDisposable
{
    private const int Threads = 256;
    private const int CellColumns = 32;
    private const int ScratchFloats = 32;

    // What the host tells the device: the item, then the token id.
    private const int ControlBytes = 64;
    private const int IdOffset = 32;

    private readonly XlstmConfig _config;
    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly CudaWeights _weights;
    private readonly KernelSet _kernels;
    private readonly DeviceArena _arena;
    private readonly PinnedBuffer _host;
    private readonly MatVec _qkvo;
    private readonly MatVec _out;
    private readonly MatVec _up;
    private readonly MatVec _down;
    private readonly MatVec _lmHead;
    private CudaGraph? _graph;
    private CudaGraph? _graphWithLogits;

    public StepPass(XlstmConfig config, CudaContext context, CudaStream stream, CudaWeights weights, KernelSet kernels)
    {
        (_config, _context, _stream, _weights, _kernels) = (config, context, stream, weights, kernels);
        _arena = new DeviceArena(
            context,
            stream,
            "the workspace of a step",
            ControlBytes,
            Floats(config.EmbeddingDim),
            Floats((2 * config.QkDim) + (2 * config.VDim)),
            Floats(2 * config.NumHeads),
            Floats(config.VDim),
            Floats(config.FfnDim),
            Floats(config.QkDim),
            Floats(config.NumHeads),
            Floats(config.VocabSize));
        _host = new PinnedBuffer(context, ControlBytes + Floats(config.VocabSize));
        // The copy engine's kernel takes a head as whole warps' vectors, and its gates one a block of threads.
        CudaBlockWeights block = weights.Blocks[0];
        StreamInputs wholeHeads = config.VHeadDim % 256 == 0 ? StreamInputs.Short : StreamInputs.None;
        StreamInputs gatesFit = 2 * config.NumHeads <= context.Device.Multiprocessors ? StreamInputs.Short : StreamInputs.None;
        _qkvo = MatVec.For(context, kernels, "qkvo", gatesFit, block.Qkvo);
        _out = MatVec.For(context, kernels, "out", wholeHeads, block.OutProj);
        _up = MatVec.For(context, kernels, "up", StreamInputs.Short, block.GateUp);
        _down = MatVec.For(context, kernels, "down", StreamInputs.Long, block.ProjDown);
        _lmHead = MatVec.For(context, kernels, config.AddOutNorm ? "logits" : "logits_plain", config.AddOutNorm ? StreamInputs.Short : StreamInputs.None, weights.LmHead);
        SharedMemory.Allow(context, kernels.CellStep, CellSharedBytes, $"a head width of {config.QkHeadDim}");
    }

    private ulong Control => _arena[0];

    private ulong X => _arena[1];

    private ulong Qkvo => _arena[2];

    private ulong Gates => _arena[3];

    private ulong H => _arena[4];

    private ulong Ffn => _arena[5];

    private ulong NewN => _arena[6];

    private ulong NewM => _arena[7];

    private ulong Logits => _arena[8];

    private int CellSharedBytes => sizeof(float) * (ScratchFloats + (4 * Threads) + (2 * _config.QkHeadDim));

    /// <summary>Bytes of device memory.</summary>
    public long ByteLength => _arena.ByteLength;

    /// <summary>Moves a state on by a token.</summary>
    /// <param name="state">The state.</param>
    /// <param name="id">The token.</param>
    /// <param name="logits">float32 [V] to write, or empty.</param>
    public void Run(CudaState state, int id, Span<float> logits)
    {
        *(CellItem*)_host.Pointer = new CellItem { State = state.Address, FirstRow = 0, Tokens = 1 };
        *(int*)(_host.Pointer + IdOffset) = id;
        _stream.Upload(Control, _host.Pointer, ControlBytes);
        if (logits.IsEmpty)
        {
            _stream.Launch(_graph ??= _stream.Capture(_context, () => Queue(withLogits: false)));
            _stream.Synchronize();
            return;
        }

        _stream.Launch(_graphWithLogits ??= _stream.Capture(_context, () => Queue(withLogits: true)));
        _stream.Download(_host.Pointer + ControlBytes, Logits, Floats(_config.VocabSize));
        _stream.Synchronize();
        new ReadOnlySpan<float>(_host.Pointer + ControlBytes, _config.VocabSize).CopyTo(logits);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _graph?.Dispose();
        _graphWithLogits?.Dispose();
        _arena.Dispose();
        _host.Dispose();
    }

    private static long Floats(int count) => sizeof(float) * (long)count;

    private void Queue(bool withLogits)
    {
        XlstmConfig c = _config;
        _stream.Launch(_kernels.Embed, 1, 1, Threads, 0, new EmbedArguments
        {
            Embeddings = _weights.Embeddings.Address,
            Ids = Control + IdOffset,
            X = X,
            Cols = _weights.Embeddings.Stride,
            Width = c.EmbeddingDim,
        });
        for (int block = 0; block < _weights.Blocks.Length; block++)
        {
            QueueBlock(block);
        }

        if (withLogits)
        {
            MatVecArguments logits = Product(_weights.LmHead, X, Logits) with { Cap = c.OutputLogitSoftCap ?? 0 };
            logits.Norm = _weights.OutNorm.Weight;
            logits.NormBias = _weights.OutNorm.Bias;
            _lmHead.Launch(_stream, logits);
        }
    }

    private void QueueBlock(int block)
    {
        XlstmConfig c = _config;
        CudaBlockWeights w = _weights.Blocks[block];
        MatVecArguments qkvo = Product(w.Qkvo, X, Qkvo);
        (qkvo.Norm, qkvo.NormBias) = (w.NormMlstm.Weight, w.NormMlstm.Bias);
        (qkvo.GateWeights, qkvo.GateBias, qkvo.GateOut, qkvo.GateRows) = (w.Gates.Address, w.Gates.Bias, Gates, w.Gates.Rows);
        _qkvo.Launch(_stream, qkvo);

        long blockOffset = block * CudaState.BlockStride(c);
        int slices = (c.VHeadDim + CellColumns - 1) / CellColumns;
        _stream.Launch(_kernels.CellStep, c.NumHeads * slices, 1, Threads, CellSharedBytes, new CellArguments
        {
            Items = Control,
            Qkvo = Qkvo,
            Gates = Gates,
            H = H,
            NewN = NewN,
            NewM = NewM,
            BlockOffset = blockOffset,
            Stride = w.Qkvo.Rows,
            Heads = c.NumHeads,
            Dqk = c.QkHeadDim,
            Dv = c.VHeadDim,
            GateCap = c.GateSoftCap ?? 0,
            Eps = c.Eps,
        });

        MatVecArguments project = Product(w.OutProj, H, X);
        project.Gate = Qkvo + (ulong)Floats((2 * c.QkDim) + c.VDim);
        (project.Norm, project.NormBias, project.Heads) = (w.MultiheadNorm.Weight, w.MultiheadNorm.Bias, c.NumHeads);
        project.Commit = new CellCommit
        {
            Items = Control,
            NewN = NewN,
            NewM = NewM,
            NOffset = blockOffset + ((long)c.QkDim * c.VHeadDim),
            Count = 1,
            Heads = c.NumHeads,
            Dqk = c.QkHeadDim,
        };
        _out.Launch(_stream, project);

        MatVecArguments up = Product(w.GateUp, X, Ffn);
        (up.Norm, up.NormBias) = (w.NormFfn.Weight, w.NormFfn.Bias);
        _up.Launch(_stream, up);
        _down.Launch(_stream, Product(w.ProjDown, Ffn, X));
    }

    private MatVecArguments Product(CudaMatrix matrix, ulong input, ulong output) => new()
    {
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
