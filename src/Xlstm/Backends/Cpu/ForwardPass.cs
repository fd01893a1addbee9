using System.Buffers;
using Xlstm.Backends.Cpu.Kernels;
using Xlstm.Calibration;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cpu;

/// <summary>
/// The model's forward pass over one batch, run by all threads together. The rows of all items lie one after the other, so
/// that a matrix is read once for all of them; only the cell and the logits look at items. Every output is computed by one
/// thread in one order, so neither the number of threads nor the rest of the batch can change a bit of it.
/// </summary>
internal sealed unsafe partial class ForwardPass : IParallelWork, IDisposable
{
    private readonly XlstmConfig _config;
    private readonly CpuWeights _weights;
    private readonly WorkerPool _pool;
    private readonly Workspace _workspace;
    private readonly PanelProducts _products;

    // The batch under way.
    private readonly int[] _ids = new int[Workspace.MaxTokens];
    private readonly List<Sequence> _sequences = [];
    private readonly List<(int Row, nint Logits)> _outputs = [];
    private readonly List<MemoryHandle> _pins = [];
    private ActivationTiles _tiles;
    private int _cellParts;
    private int _cellCursor;

    public ForwardPass(CpuWeights weights, WorkerPool pool, CpuInstructionSet instructionSet)
    {
        (_config, _weights, _pool) = (weights.Config, weights, pool);
        _workspace = new Workspace(_config, pool.Threads);
        _products = new PanelProducts(MatMulKernel.For(instructionSet), pool.Threads);
    }

    /// <summary>Runs a batch. One call at a time.</summary>
    public void Run(ReadOnlySpan<BatchItem> items)
    {
        try
        {
            Prepare(items);
            _pool.Run(this);
        }
        finally
        {
            foreach (MemoryHandle pin in _pins)
            {
                pin.Dispose();
            }

            _pins.Clear();
            _outputs.Clear();
            _sequences.Clear();
        }
    }

    /// <inheritdoc/>
    public void Execute(int worker)
    {
        (int first, int last) = _pool.Share(_tiles.Tokens, worker);
        for (int row = first; row < last; row++)
        {
            _weights.Embeddings.GetRow(_ids[row], new Span<float>(_workspace.X + ((long)row * _config.EmbeddingDim), _config.EmbeddingDim));
        }

        _pool.Barrier();
        for (int block = 0; block < _weights.Blocks.Length; block++)
        {
            Mlstm(worker, block);
            Ffn(worker, block);
        }

        for (int output = 0; output < _outputs.Count; output += Workspace.LogitRows)
        {
            Logits(worker, output, Math.Min(Workspace.LogitRows, _outputs.Count - output));
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _workspace.Dispose();

    private void Prepare(ReadOnlySpan<BatchItem> items)
    {
        int rows = 0;
        foreach (BatchItem item in items)
        {
            ReadOnlySpan<int> tokens = item.Tokens.Span;
            ArgumentOutOfRangeException.ThrowIfZero(tokens.Length, nameof(items));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(rows + tokens.Length, Workspace.MaxTokens, nameof(items));
            ArgumentOutOfRangeException.ThrowIfEqual(item.Output, Output.Shortlist, nameof(items));
            tokens.CopyTo(_ids.AsSpan(rows));
            _sequences.Add(new Sequence((CpuState)item.State, rows, tokens.Length));
            if (item.Output != Output.None)
            {
                int wanted = item.Output == Output.AllLogits ? tokens.Length : 1;
                ArgumentOutOfRangeException.ThrowIfLessThan(item.Logits.Length, wanted * _config.VocabSize, nameof(items));
                MemoryHandle pin = item.Logits.Pin();
                _pins.Add(pin);
                for (int i = 0; i < wanted; i++)
                {
                    _outputs.Add((rows + tokens.Length - wanted + i, (nint)((float*)pin.Pointer + ((long)i * _config.VocabSize))));
                }
            }

            rows += tokens.Length;
        }

        foreach (int id in _ids.AsSpan(0, rows))
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)id, (uint)_config.VocabSize, nameof(items));
        }

        if (_outputs.Count > 0)
        {
            _workspace.ReserveLogits(Math.Min(_outputs.Count, Workspace.LogitRows));
        }

        Shape(rows);
    }

    /// <summary>Makes room for a batch of so many rows and divides it.</summary>
    private void Shape(int rows)
    {
        _workspace.Reserve(rows);
        _tiles = new ActivationTiles(rows);

        // A head is the natural share of a thread. Only where there are fewer heads than threads is a head's C cut into
        // ranges of columns, which costs one more barrier.
        int heads = _sequences.Count * _config.NumHeads;
        int blocksOfColumns = (_config.VHeadDim + MlstmCell.ColumnBlock - 1) / MlstmCell.ColumnBlock;
        _cellParts = Math.Min(blocksOfColumns, (_pool.Threads + heads - 1) / heads);
    }

    private void Mlstm(int worker, int block)
    {
        CpuBlockWeights w = _weights.Blocks[block];
        if (worker == 0)
        {
            _cellCursor = 0;
        }

        TileInputs x1 = InputRows(worker, MatrixInput.NormMlstm, _config.EmbeddingDim, w.NormMlstm, _products.EncodingsOf(w.Q, w.K, w.V, w.OGatePreact, w.IfGatePreact));
        if (_capture?.Input == MatrixInput.NormMlstm)
        {
            return;
        }

        _products.Run(worker, x1, _tiles,
        [
            new Product(w.Q, _workspace.Q, _config.QkDim),
            new Product(w.K, _workspace.K, _config.QkDim),
            new Product(w.V, _workspace.V, _config.VDim),
            new Product(w.OGatePreact, _workspace.O, _config.VDim),
            new Product(w.IfGatePreact, _workspace.IfGates, 2 * _config.NumHeads),
        ]);
        _pool.Barrier();
        Cell(worker, block);
        _pool.Barrier();
        TileInputs y = InputRows(worker, MatrixInput.GatedHeads, _config.VDim, w.MultiheadNorm, _products.EncodingsOf(w.OutProj));
        if (_capture?.Input == MatrixInput.GatedHeads)
        {
            return;
        }

        _products.Run(worker, y, _tiles, [new Product(w.OutProj, _workspace.X, _config.EmbeddingDim, accumulate: true)]);
        _pool.Barrier();
    }

    private void Ffn(int worker, int block)
    {
        CpuBlockWeights w = _weights.Blocks[block];
        TileInputs x2 = InputRows(worker, MatrixInput.NormFfn, _config.EmbeddingDim, w.NormFfn, _products.EncodingsOf(w.ProjUpGate, w.ProjUp));
        if (_capture?.Input == MatrixInput.NormFfn)
        {
            return;
        }

        _products.Run(worker, x2, _tiles,
        [
            new Product(w.ProjUpGate, _workspace.FfnGate, _config.FfnDim),
            new Product(w.ProjUp, _workspace.FfnUp, _config.FfnDim),
        ]);
        _pool.Barrier();
        TileInputs z = InputRows(worker, MatrixInput.SwiGlu, _config.FfnDim, default, _products.EncodingsOf(w.ProjDown));
        if (_capture?.Input == MatrixInput.SwiGlu)
        {
            return;
        }

        _products.Run(worker, z, _tiles, [new Product(w.ProjDown, _workspace.X, _config.EmbeddingDim, accumulate: true)]);
        _pool.Barrier();
    }

    /// <summary>Makes the input of matrix products, [T, cols] in tiles.</summary>
    private TileInputs InputRows(int worker, MatrixInput source, int cols, NormWeights norm, Encodings encodings)
    {
        float* row = _workspace.Row(worker);
        TileInputs inputs;
        if (_tiles.Tokens == 1)
        {
            // Every thread makes the one row for itself: cheaper than one making it and the others waiting.
            inputs = TileInputs.Lay((byte*)row, 1, cols, encodings | Encodings.Float32);
            InputRow(source, 0, norm, row);
            Keep(source, 0, row, cols);
            inputs.SetRow(_tiles, 0, row, cols);
            return inputs;
        }

        inputs = TileInputs.Lay(_workspace.Tiles, ActivationTiles.PaddedCount(_tiles.Tokens), cols, encodings);
        (int first, int last) = _pool.Share(_tiles.Tokens, worker);
        for (int t = first; t < last; t++)
        {
            InputRow(source, t, norm, row);
            Keep(source, t, row, cols);
            inputs.SetRow(_tiles, t, row, cols);
        }

        _pool.Barrier();
        return inputs;
    }

    private void InputRow(MatrixInput source, int t, NormWeights norm, float* row)
    {
        XlstmConfig c = _config;
        switch (source)
        {
            case MatrixInput.NormMlstm or MatrixInput.NormFfn:
                Norms.RmsNorm(_workspace.X + ((long)t * c.EmbeddingDim), norm.Weight, norm.Bias, c.EmbeddingDim, c.NormEps, row);
                break;
            case MatrixInput.GatedHeads:
                for (int head = 0; head < c.NumHeads; head++)
                {
                    int column = head * c.VHeadDim;
                    long offset = ((long)t * c.VDim) + column;
                    float* bias = norm.Bias is null ? null : norm.Bias + column;
                    Norms.GatedHeadNorm(_workspace.H + offset, _workspace.O + offset, norm.Weight + column, bias, c.VHeadDim, c.NormEps, row + column);
                }

                break;
            default:
                Activations.SwiGlu(_workspace.FfnGate + ((long)t * c.FfnDim), _workspace.FfnUp + ((long)t * c.FfnDim), c.FfnDim, row);
                break;
        }
    }

    private void Cell(int worker, int block)
    {
        int heads = _config.NumHeads;
        if (_cellParts > 1)
        {
            for (int unit; (unit = Claim(_sequences.Count * heads)) >= 0;)
            {
                CellGates(block, unit / heads, unit % heads);
            }

            _pool.Barrier();
            if (worker == 0)
            {
                _cellCursor = 0;
            }

            _pool.Barrier();
        }

        for (int unit; (unit = Claim(_sequences.Count * heads * _cellParts)) >= 0;)
        {
            int part = unit % _cellParts;
            int head = unit / _cellParts % heads;
            int sequence = unit / _cellParts / heads;
            if (_cellParts == 1)
            {
                CellGates(block, sequence, head);
            }

            CellValues(worker, block, sequence, head, part);
        }
    }

    /// <summary>Takes the next unit of work; -1 when none is left. Items may differ a thousandfold in length, so shares are not fixed.</summary>
    private int Claim(int units)
    {
        int unit = Interlocked.Increment(ref _cellCursor) - 1;
        return unit < units ? unit : -1;
    }

    private void CellGates(int block, int sequence, int head)
    {
        XlstmConfig c = _config;
        (CpuState state, int first, int count) = _sequences[sequence];
        long qk = ((long)first * c.QkDim) + (head * c.QkHeadDim);
        float* gates = _workspace.IfGates + ((long)first * 2 * c.NumHeads) + head;
        MlstmCell.Gates(
            _workspace.Q + qk, _workspace.K + qk, c.QkDim, gates, gates + c.NumHeads, 2 * c.NumHeads, count, c.QkHeadDim, c.GateSoftCap, c.Eps,
            state.N(block, head), state.M(block, head), _workspace.Scalars + ((long)first * c.NumHeads) + head, c.NumHeads);
    }

    private void CellValues(int worker, int block, int sequence, int head, int part)
    {
        XlstmConfig c = _config;
        (CpuState state, int first, int count) = _sequences[sequence];
        long qk = ((long)first * c.QkDim) + (head * c.QkHeadDim);
        long v = ((long)first * c.VDim) + (head * c.VHeadDim);
        MlstmCell.StepScalars* scalars = _workspace.Scalars + ((long)first * c.NumHeads) + head;

        int columnBlocks = (c.VHeadDim + MlstmCell.ColumnBlock - 1) / MlstmCell.ColumnBlock;
        int from = columnBlocks * part / _cellParts * MlstmCell.ColumnBlock;
        int to = Math.Min(c.VHeadDim, columnBlocks * (part + 1) / _cellParts * MlstmCell.ColumnBlock);
        int step = count == 1 ? to - from : MlstmCell.ColumnBlock;
        for (int column = from; column < to; column += step)
        {
            MlstmCell.Values(
                state.C(block, head), c.VHeadDim, column, Math.Min(step, to - column), _workspace.Q + qk, _workspace.K + qk, c.QkDim,
                _workspace.V + v, _workspace.H + v, c.VDim, count, c.QkHeadDim, scalars, c.NumHeads, _workspace.CellScratch(worker));
        }
    }

    /// <summary>out_norm, lm_head and soft cap of up to <see cref="Workspace.LogitRows"/> of the rows asked for.</summary>
    private void Logits(int worker, int firstOutput, int count)
    {
        int d = _config.EmbeddingDim;
        var tiles = new ActivationTiles(count);
        float* row = _workspace.Row(worker);
        Encodings encodings = _products.EncodingsOf(new LinearWeights(_weights.LmHead, null));
        TileInputs inputs = count == 1
            ? TileInputs.Lay((byte*)row, 1, d, encodings | Encodings.Float32)
            : TileInputs.Lay(_workspace.Tiles, ActivationTiles.PaddedCount(count), d, encodings);
        (int first, int last) = count == 1 ? (0, 1) : _pool.Share(count, worker);
        for (int i = first; i < last; i++)
        {
            float* x = _workspace.X + ((long)_outputs[firstOutput + i].Row * d);
            if (_weights.OutNorm.Weight is null)
            {
                new ReadOnlySpan<float>(x, d).CopyTo(new Span<float>(row, d));
            }
            else
            {
                Norms.RmsNorm(x, _weights.OutNorm.Weight, _weights.OutNorm.Bias, d, _config.NormEps, row);
            }

            inputs.SetRow(tiles, i, row, d);
        }

        if (count > 1)
        {
            _pool.Barrier();
        }

        _products.Run(worker, inputs, tiles, [new Product(new LinearWeights(_weights.LmHead, null), _workspace.Logits, _config.VocabSize)]);

        // A thread caps and hands out the columns that it has made itself: no barrier between.
        (int firstPanel, int lastPanel) = _pool.Share(_weights.LmHead.Panels, worker);
        int from = firstPanel * PackedMatrix.PanelRows;
        int length = Math.Min(lastPanel * PackedMatrix.PanelRows, _config.VocabSize) - from;
        for (int i = 0; i < count && length > 0; i++)
        {
            float* logits = _workspace.Logits + ((long)i * _config.VocabSize) + from;
            float* destination = (float*)_outputs[firstOutput + i].Logits + from;
            if (_config.OutputLogitSoftCap is { } cap)
            {
                Activations.SoftCap(logits, length, cap, destination);
            }
            else
            {
                new ReadOnlySpan<float>(logits, length).CopyTo(new Span<float>(destination, length));
            }
        }

        _pool.Barrier();
    }

    /// <summary>An item's state and its rows of the batch.</summary>
    private readonly record struct Sequence(CpuState State, int First, int Count);
}
