using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>The rows of a batch as kernels see them: those of all items one after the other.</summary>
/// <param name="Items">The device's list of <see cref="CellItem"/>.</param>
/// <param name="Ids">The device's list of token ids, int [rows].</param>
/// <param name="Rows">Tokens of all items.</param>
/// <param name="ItemCount">Items.</param>
/// <param name="Chunks">Chunks of all items where the cell is to work in chunks; else 0.</param>
/// <param name="LongestChunks">Most chunks of an item.</param>
/// <param name="FirstChunks">The device's list of the numbers of items' first chunks.</param>
internal readonly record struct RowsBatch(ulong Items, ulong Ids, int Rows, int ItemCount, int Chunks = 0, int LongestChunks = 0, ulong FirstChunks = 0)
{
    /// <summary>Every item has one token.</summary>
    public bool Singles => Rows == ItemCount;
}

/// <summary>Queues the kernels that take the rows of a batch through a model: embeddings, blocks, logits. Rows meet each matrix together; only the cell looks at items.</summary>
internal sealed class RowsForward
{
    /// <summary>cell_rows.cu, chunk.cuh: tokens of a chunk, floats of its scalars.</summary>
    public const int Chunk = 64;
    public const int ChunkScalarFloats = 3 * Chunk;

    private const int Threads = 256;
    private const int CellColumns = 32;
    private const int ScratchFloats = 32;
    private const int CellTile = 32; // rows of C

    // Few rows leave multiprocessors idle, so several blocks of threads share the gates of as many rows at once.
    private const int GateShares = 8;
    private const int RowsAtOnce = 32;

    private readonly XlstmConfig _config;
    private readonly CudaStream _stream;
    private readonly CudaWeights _weights;
    private readonly KernelSet _kernels;
    private readonly CudaStateLayout _states;
    private readonly CellStep _cellStep;
    private readonly CellStream? _cellStream;
    private readonly MatMul _matMul;
    private readonly CudaKernel? _scan;

    /// <param name="parts">What passes work with.</param>
    /// <param name="matMul">The stage's products.</param>
    public RowsForward(StageParts parts, MatMul matMul)
    {
        (XlstmConfig config, CudaContext context, KernelSet kernels, CudaStateLayout states) = (parts.Config, parts.Context, parts.Kernels, parts.States);
        (_config, _stream, _weights, _kernels, _states, _matMul) = (config, parts.Stream, parts.Weights, kernels, states, matMul);
        _cellStep = new CellStep(config, context, kernels, states.Format);
        _cellStream = CellStream.Create(config, context, kernels, states.Format);
        SharedMemory.Allow(context, kernels.NormRows, NormSharedBytes, $"a width of {config.EmbeddingDim}");
        SharedMemory.Allow(context, kernels.NormFew, NormSharedBytes, $"a width of {config.EmbeddingDim}");
        SharedMemory.Allow(context, kernels.CellRows, CellRowsSharedBytes, $"a head width of {config.QkHeadDim}");
        CudaKernel? scan = config.QkHeadDim switch { 128 => kernels.CellScan128, 256 => kernels.CellScan256, _ => null };
        if (scan is not null && config.VHeadDim % CellColumns == 0 && ScanSharedBytes <= context.Device.MaxSharedBytes)
        {
            _scan = scan;
            SharedMemory.Allow(context, scan, ScanSharedBytes, "the model");
            SharedMemory.Allow(context, kernels.CellScores!, ScoresSharedBytes, "the model");
        }
    }

    /// <summary>Sums that the cell makes of a row where all items have one token, and a workspace has room for them.</summary>
    public int CellParts => _cellStream?.Parts ?? 1;

    /// <summary>Whether the cell takes prompts in chunks by bfloat16 products.</summary>
    public bool InChunks => _scan is not null;

    private int NormSharedBytes => sizeof(float) * (ScratchFloats + CudaMatrix.Pad(_config.EmbeddingDim));

    private int ScoresSharedBytes => (2 * Chunk * _config.QkHeadDim * sizeof(ushort)) + Math.Max(1024, sizeof(float) * ChunkScalarFloats);

    // cell_chunks.cu: two buffers of q, k, scores and scalars; v twice and C in rows of 128 bytes.
    private int ScanSharedBytes =>
        (2 * sizeof(ushort) * Chunk * ((2 * _config.QkHeadDim) + Chunk)) + (128 * ((2 * Chunk) + _config.QkHeadDim)) + (2 * sizeof(float) * ChunkScalarFloats);

    private int CellRowsSharedBytes
    {
        get
        {
            int depth = (_config.QkHeadDim + CellTile - 1) / CellTile * CellTile;
            return sizeof(float) * ((depth * (CellColumns + 8 + 1)) + (2 * Chunk * (CellTile + 4)) + (Chunk * (CellColumns + 8)) + (Chunk * (Chunk + 4)) + (6 * Chunk) + 4);
        }
    }

    /// <summary>Token ids to the residual stream.</summary>
    public void Embed(RowsWorkspace workspace, in RowsBatch batch) => _stream.Launch(_kernels.Embed, batch.Rows, 1, Threads, 0, new EmbedArguments
    {
        Embeddings = _weights.Embeddings.Address,
        Ids = batch.Ids,
        X = workspace.X,
        Cols = _weights.Embeddings.Stride,
        Width = _config.EmbeddingDim,
    });

    /// <summary>The residual stream through the blocks; states move on.</summary>
    public void Blocks(RowsWorkspace workspace, in RowsBatch batch)
    {
        for (int block = 0; block < _weights.Blocks.Length; block++)
        {
            Mlstm(workspace, batch, block, _weights.Blocks[block]);
            FeedForward(workspace, batch, _weights.Blocks[block]);
        }
    }

    /// <summary>Logits of some rows of the residual stream.</summary>
    /// <param name="workspace">Where the rows are, and where the logits go.</param>
    /// <param name="rowOf">The device's list of the rows, int [<paramref name="count"/>]; 0 for the first rows.</param>
    /// <param name="count">How many.</param>
    public void Logits(RowsWorkspace workspace, ulong rowOf, int count)
    {
        Norm(_weights.OutNorm, workspace.X, rowOf, count, workspace.LogitInput, default, 0);
        _matMul.Run(MatMulResult.Cap, _weights.LmHead, workspace.Inputs, MatMulInput.Logits, workspace.Logits, count, _weights.LmHead.Rows);
    }

    private void Mlstm(RowsWorkspace s, in RowsBatch batch, int block, CudaBlockWeights w)
    {
        // The cell in bfloat16 products takes q, k, v, o as such.
        bool half = batch.Chunks > 0;
        Norm(w.NormMlstm, s.X, 0, batch.Rows, s.Input, w.Gates, s.Gates);
        _matMul.Run(half ? MatMulResult.StoreHalf : MatMulResult.Store, w.Qkvo, s.Inputs, MatMulInput.Norm, s.Qkvo, batch.Rows, w.Qkvo.Rows);
        if (batch.Singles && _cellStream is not null && s.CellParts == _cellStream.Parts)
        {
            CellInStreams(s, batch, w, block);
        }
        else
        {
            if (half)
            {
                CellInChunks(s, batch, w, block);
            }
            else
            {
                Cell(s, batch, w, block);
            }

            Heads(s, batch, w, block);
        }

        _matMul.Run(MatMulResult.Add, w.OutProj, s.Inputs, MatMulInput.Heads, s.X, batch.Rows, _config.EmbeddingDim);
    }

    private void CellInStreams(RowsWorkspace s, in RowsBatch batch, CudaBlockWeights w, int block)
    {
        XlstmConfig c = _config;
        var arguments = new CellStreamArguments
        {
            Items = batch.Items,
            Qkvo = s.Qkvo,
            Gates = s.Gates,
            Sums = s.H,
            Arrived = s.Arrived,
            Norm = w.MultiheadNorm.Weight,
            NormBias = w.MultiheadNorm.Bias,
            Out = s.Input,
            BlockOffset = _states.BlockFloats(block),
            Stride = w.Qkvo.Rows,
            Heads = c.NumHeads,
            Dqk = c.QkHeadDim,
            Dv = c.VHeadDim,
            Tokens = batch.Rows,
            Cols = CudaMatrix.Pad(c.VDim),
            GateCap = c.GateSoftCap ?? 0,
            Eps = c.Eps,
            NormEps = c.NormEps,
        };
        _cellStream!.Launch(_stream, arguments, batch.ItemCount);
    }

    private void Heads(RowsWorkspace s, in RowsBatch batch, CudaBlockWeights w, int block)
    {
        XlstmConfig c = _config;
        bool half = batch.Chunks > 0;
        _stream.Launch(half ? _kernels.HeadRowsHalf! : _kernels.HeadRows, batch.Rows, 1, Threads, 0, new HeadRowsArguments
        {
            H = s.H,
            Gate = s.Qkvo + (ulong)((half ? sizeof(ushort) : sizeof(float)) * ((2 * c.QkDim) + c.VDim)),
            Norm = w.MultiheadNorm.Weight,
            NormBias = w.MultiheadNorm.Bias,
            Out = s.Input,
            Commit = CellCommit.For(c, _states, block) with { Items = batch.Items, NewN = s.NewN, NewM = s.NewM, Count = batch.ItemCount },
            Width = c.VDim,
            Cols = CudaMatrix.Pad(c.VDim),
            GateStride = w.Qkvo.Rows,
            Heads = c.NumHeads,
            Eps = c.NormEps,
        });
    }

    private void Cell(RowsWorkspace s, in RowsBatch batch, CudaBlockWeights w, int block)
    {
        XlstmConfig c = _config;
        CellArguments arguments = CellArguments.For(c, _states, block, w) with { Items = batch.Items, Qkvo = s.Qkvo, Gates = s.Gates, H = s.H, NewN = s.NewN, NewM = s.NewM };
        if (batch.Singles)
        {
            _cellStep.Launch(_stream, arguments, batch.ItemCount);
            return;
        }

        int slices = (c.VHeadDim + CellColumns - 1) / CellColumns;
        _stream.Launch(_kernels.CellRows, c.NumHeads * slices, batch.ItemCount, Threads, CellRowsSharedBytes, arguments);
    }

    private void CellInChunks(RowsWorkspace s, in RowsBatch batch, CudaBlockWeights w, int block)
    {
        XlstmConfig c = _config;
        var arguments = new CellChunksArguments
        {
            Items = batch.Items,
            Qkvo = s.Qkvo,
            Gates = s.Gates,
            H = s.H,
            NewN = s.NewN,
            NewM = s.NewM,
            Scores = s.Scores,
            Scalars = s.ChunkScalars,
            FirstChunk = batch.FirstChunks,
            BlockOffset = _states.BlockFloats(block),
            Stride = w.Qkvo.Rows,
            Heads = c.NumHeads,
            Dqk = c.QkHeadDim,
            Dv = c.VHeadDim,
            GateCap = c.GateSoftCap ?? 0,
            Eps = c.Eps,
        };
        _stream.Launch(_kernels.CellScores!, c.NumHeads, batch.LongestChunks, Threads, ScoresSharedBytes, arguments, batch.ItemCount);
        _stream.Launch(_scan!, c.NumHeads * (c.VHeadDim / CellColumns), batch.ItemCount, Threads, ScanSharedBytes, arguments);
    }

    private void FeedForward(RowsWorkspace s, in RowsBatch batch, CudaBlockWeights w)
    {
        Norm(w.NormFfn, s.X, 0, batch.Rows, s.Input, default, 0);
        _matMul.Run(MatMulResult.SwiGlu, w.GateUp, s.Inputs, MatMulInput.Norm, s.Ffn, batch.Rows, CudaMatrix.Pad(_config.FfnDim));
        _matMul.Run(MatMulResult.Add, w.ProjDown, s.Inputs, MatMulInput.Ffn, s.X, batch.Rows, _config.EmbeddingDim);
    }

    private void Norm(CudaNorm norm, ulong x, ulong rowOf, int rows, ulong output, CudaMatrix gates, ulong gateOutput)
    {
        bool few = rows <= FewRows.MaxTokens;
        int shares = few && gates.Rows > 0 ? Math.Min(GateShares, gates.Rows) : 1;
        _stream.Launch(few ? _kernels.NormFew : _kernels.NormRows, shares > 1 ? Math.Min(rows, RowsAtOnce) : rows, shares, Threads, NormSharedBytes, new NormRowsArguments
        {
            X = x,
            RowOf = rowOf,
            Norm = norm.Weight,
            NormBias = norm.Bias,
            Out = output,
            GateWeights = gates.Address,
            GateBias = gates.Bias,
            GateOut = gateOutput,
            Rows = rows,
            Width = _config.EmbeddingDim,
            Cols = CudaMatrix.Pad(_config.EmbeddingDim),
            GateRows = gates.Rows,
            Eps = _config.NormEps,
        });
    }
}
