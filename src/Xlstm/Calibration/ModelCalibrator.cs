using System.Runtime.ExceptionServices;
using Xlstm.Backends.Cpu;
using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;
using Xlstm.Memory;

namespace Xlstm.Calibration;

/// <summary>
/// Packs a checkpoint with the rounding errors of its int4 matrices compensated. The text goes through the model block by block, and in a
/// block input by input: an input's X^T X is gathered with everything before it rounded already, its matrices are rounded, and the pass
/// goes on through them. So only the packed model is ever run or held, beside it one X^T X and the residual stream of the text.
/// </summary>
internal sealed unsafe class ModelCalibrator : IDisposable
{
    /// <summary>Fewest tokens that say anything.</summary>
    public const int MinTokens = 2;

    // Share of the mean of the diagonal of X^T X. Measured between 0.001 and 0.2: docs/calibration.md.
    private const float Damping = 0.05f;

    private readonly Checkpoint _checkpoint;
    private readonly PackedLayout _layout;
    private readonly NativeBuffer _memory;
    private readonly LoadMeter _meter;
    private readonly ParallelOptions _parallel;
    private readonly WorkerPool _pool;
    private readonly ForwardPass _pass;
    private readonly CpuState _state;
    private readonly NativeBuffer _stream;
    private readonly int _tokens;

    private ModelCalibrator(Checkpoint checkpoint, PackedLayout layout, NativeBuffer memory, ReadOnlySpan<int> ids, LoadMeter meter, ParallelOptions parallel)
    {
        (_checkpoint, _layout, _memory, _meter, _parallel, _tokens) = (checkpoint, layout, memory, meter, parallel, ids.Length);
        var weights = new CpuWeights(layout, memory);
        _stream = new NativeBuffer(sizeof(float) * (long)layout.Config.EmbeddingDim * _tokens, zeroed: false);
        for (int t = 0; t < _tokens; t++)
        {
            weights.Embeddings.GetRow(ids[t], Stream(t, 1));
        }

        _state = new CpuState(layout.Config);
        _pool = new WorkerPool(parallel.MaxDegreeOfParallelism);
        _pass = new ForwardPass(weights, _pool, CpuInstructionSets.Best);
    }

    /// <summary>Loads a checkpoint's weights into memory of their own.</summary>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="layout">Where they go and in which formats.</param>
    /// <param name="ids">Tokens of typical text, begin-of-text first: at least <see cref="MinTokens"/>, all in the vocabulary.</param>
    /// <param name="threads">Threads that compute.</param>
    /// <param name="progress">Told as tensors are read and rounded.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <exception cref="CheckpointException">A file cannot be read, or a weight is not a finite number in its format.</exception>
    public static NativeBuffer Load(Checkpoint checkpoint, PackedLayout layout, ReadOnlySpan<int> ids, int threads, IProgress<LoadProgress>? progress, CancellationToken cancellationToken)
    {
        var memory = new NativeBuffer(layout.ByteLength, zeroed: false);
        try
        {
            LoadMeter meter = PackedLoader.MeterOf(checkpoint, layout, progress);
            PackedLoader.Fill(checkpoint, layout.Tensors.Where(tensor => !IsCompensated(tensor)), memory, threads, meter, cancellationToken);
            var parallel = new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellationToken };
            using var calibrator = new ModelCalibrator(checkpoint, layout, memory, ids, meter, parallel);
            for (int block = 0; block < layout.Config.NumBlocks; block++)
            {
                calibrator.Round(block);
            }

            return memory;
        }
        catch (AggregateException e)
        {
            memory.Dispose();
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
            throw;
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _pool.Dispose();
        _pass.Dispose();
        _state.Dispose();
        _stream.Dispose();
    }

    private static bool IsCompensated(PackedTensor tensor) => tensor.Block != TensorMap.NoBlock && tensor.Format == WeightFormat.Int4 && !tensor.IsVector;

    private static TensorRole[] RolesOf(MatrixInput input) => input switch
    {
        MatrixInput.NormMlstm => [TensorRole.Q, TensorRole.K, TensorRole.V, TensorRole.OGatePreact],
        MatrixInput.GatedHeads => [TensorRole.OutProj],
        MatrixInput.NormFfn => [TensorRole.ProjUpGate, TensorRole.ProjUp],
        _ => [TensorRole.ProjDown],
    };

    /// <summary>Rounds a block's matrices and takes the residual stream through them.</summary>
    private void Round(int block)
    {
        foreach (MatrixInput input in Enum.GetValues<MatrixInput>())
        {
            PackedTensor[] matrices = [.. RolesOf(input).Select(role => _layout.Get(block, role)).Where(IsCompensated)];
            if (matrices.Length > 0)
            {
                using ErrorFactor factor = FactorOf(block, input, matrices[0].Cols);
                foreach (PackedTensor matrix in matrices)
                {
                    Round(matrix, factor);
                }
            }
        }

        ForEachChunk((first, count) => _pass.RunBlock(block, _state, Stream(first, count), capture: null));
    }

    private ErrorFactor FactorOf(int block, MatrixInput input, int columns)
    {
        using var rows = new ActivationRows(columns, Workspace.MaxTokens);
        var capture = new InputCapture(input, rows);
        var moments = new SecondMoments(columns);
        try
        {
            ForEachChunk((first, count) =>
            {
                _pass.RunBlock(block, _state, Stream(first, count), capture);
                moments.Add(rows, _parallel);
            });
        }
        catch
        {
            moments.Dispose();
            throw;
        }

        return ErrorFactor.Of(moments, Damping, _parallel);
    }

    private void ForEachChunk(Action<int, int> run)
    {
        _state.Reset();
        for (int first = 0; first < _tokens; first += Workspace.MaxTokens)
        {
            _parallel.CancellationToken.ThrowIfCancellationRequested();
            run(first, Math.Min(Workspace.MaxTokens, _tokens - first));
        }
    }

    private void Round(PackedTensor tensor, ErrorFactor factor)
    {
        const int Unit = CompensatedRows.Capacity;
        CheckpointTensor source = _checkpoint.Tensors.Get(tensor.Block, tensor.Role, isBias: false);
        PackedMatrix matrix = tensor.Matrix(_memory.Pointer);
        Parallel.For(
            0,
            (tensor.Rows + Unit - 1) / Unit,
            _parallel,
            () => (Reader: new RowReader(_checkpoint), Rows: new CompensatedRows(tensor.Cols)),
            (unit, _, worker) =>
            {
                int first = unit * Unit, count = Math.Min(Unit, tensor.Rows - first);
                worker.Reader.Read(source, first, count);
                for (int i = 0; i < count; i++)
                {
                    worker.Rows.Set(i, worker.Reader.Row(i, WeightFormat.Int4));
                }

                worker.Rows.Round(factor);
                for (int i = 0; i < count; i++)
                {
                    matrix.SetRow(first + i, worker.Rows[i]);
                }

                _meter.Add(source.ShardIndex, source.BytesOf(count));
                return worker;
            },
            worker => worker.Rows.Dispose());
        matrix.ClearPadding();
    }

    /// <summary>The residual stream of some tokens, float32 [count, D].</summary>
    private Span<float> Stream(int first, int count)
    {
        int d = _layout.Config.EmbeddingDim;
        return new Span<float>((float*)_stream.Pointer + ((long)first * d), count * d);
    }
}
