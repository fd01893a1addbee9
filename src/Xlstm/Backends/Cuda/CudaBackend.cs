using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints;

namespace Xlstm.Backends.Cuda;

/// <summary>One NVIDIA GPU: owns the weights, a stream and the workspaces, and runs one batch at a time.</summary>
internal sealed class CudaBackend : Backend
{
    private readonly CudaContext _context;
    private readonly CudaWeights _weights;
    private readonly XlstmConfig _config;
    private readonly CudaStream _stream;
    private readonly KernelSet _kernels;
    private readonly CudaStateLayout _states;
    private readonly StepPass _step;
    private readonly MatMul _matMul;
    private readonly RowsPass _rows;
    private readonly BatchPass _batch;
    private readonly Lock _turn = new();
    private bool _disposed;

    private CudaBackend(XlstmConfig config, CudaContext context, CudaWeights weights, StateFormat state)
    {
        (_config, _context, _weights) = (config, context, weights);
        context.MakeCurrent();
        _stream = new CudaStream(context);
        _states = new CudaStateLayout(config, state);
        _kernels = new KernelSet(context, weights.Format, state);
        _step = new StepPass(config, context, _stream, weights, _kernels, _states);
        _matMul = new MatMul(config, context, _stream, weights, _kernels);
        var forward = new RowsForward(config, context, _stream, weights, _kernels, _states, _matMul);
        _rows = new RowsPass(config, context, _stream, forward, _matMul, weights.ElementSize);
        _batch = new BatchPass(config, context, _stream, forward, _matMul, weights.ElementSize);
        _stream.Synchronize();
    }

    /// <inheritdoc/>
    public override string Description => $"cuda:{_context.Device.Ordinal}, {_context.Device.Name}";

    /// <inheritdoc/>
    public override int Threads => 1;

    /// <inheritdoc/>
    public override WeightFormat Weights => _weights.Format;

    /// <inheritdoc/>
    public override StateFormat State => _states.Format;

    /// <inheritdoc/>
    public override long StateBytes => _states.ByteLength;

    /// <inheritdoc/>
    public override long WeightBytes => _weights.Memory!.ByteLength;

    /// <inheritdoc/>
    public override int MaxBatchTokens => RowsPass.MaxTokens;

    /// <inheritdoc/>
    public override int SmallestChunk => MaxBatchTokens; // always the same cuts, since sums depend on them

    /// <summary>The model's sizes.</summary>
    public XlstmConfig Config => _config;

    /// <summary>Bytes of device memory beside weights and states, at the largest batch.</summary>
    public long WorkspaceBytes =>
        _step.ByteLength + RowsPass.WorkspaceBytes(_config, _weights.ElementSize) + _batch.WorkspaceBytes;

    /// <summary>What the driver's compiler says of the kernels.</summary>
    public string CompilerLog => _kernels.Log;

    /// <summary>Loads a checkpoint.</summary>
    /// <param name="device">The GPU.</param>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="format">How the matrices are held.</param>
    /// <param name="threads">Threads that read.</param>
    /// <param name="state">How the states of sessions are held.</param>
    /// <param name="progress">Told as bytes are read.</param>
    /// <param name="cancellationToken">Ends the load.</param>
    /// <exception cref="XlstmException">The device has too little memory, or the driver refuses.</exception>
    public static CudaBackend Load(
        CudaDevice device, Checkpoint checkpoint, WeightFormat format, int threads, StateFormat state = StateFormat.Float32, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var context = new CudaContext(device);
        try
        {
            CudaWeights weights = CudaWeightLoader.Load(checkpoint, format, [(context, ModelStage.All(checkpoint.Config))], threads, progress, cancellationToken)[0];
            try
            {
                return new CudaBackend(checkpoint.Config, context, weights, state);
            }
            catch
            {
                weights.Dispose();
                throw;
            }
        }
        catch
        {
            context.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override RecurrentState CreateState() => new CudaState(this, _states, [CudaStatePart.Create(_context, _stream, _states, 0, _config.NumBlocks)]);

    /// <inheritdoc/>
    public override void Forward(ReadOnlySpan<BatchItem> items)
    {
        lock (_turn)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _context.MakeCurrent();
            if (items.Length == 1 && items[0].Tokens.Length == 1)
            {
                BatchItem item = items[0];
                int id = item.Tokens.Span[0];
                ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)id, (uint)_config.VocabSize, nameof(items));
                _step.Run((CudaState)item.State, id, item.Output == Output.None ? default : item.Logits.Span[.._config.VocabSize]);
                return;
            }

            if (BatchPass.Takes(items))
            {
                _batch.Run(items);
            }
            else
            {
                _rows.Run(items);
            }
        }
    }

    /// <summary>Does work on states between batches.</summary>
    public void Exclusively(Action work)
    {
        lock (_turn)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            work();
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        lock (_turn)
        {
            if (!_disposed)
            {
                _disposed = true;
                _step.Dispose();
                _batch.Dispose();
                _rows.Dispose();
                _matMul.Dispose();
                _kernels.Dispose();
                _stream.Dispose();
                _weights.Dispose();
                _context.Dispose();
            }
        }
    }
}
