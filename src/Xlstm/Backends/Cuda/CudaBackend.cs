using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cuda;

/// <summary>One NVIDIA GPU: owns the weights, a stream and the workspaces, and runs one batch at a time.</summary>
internal sealed class CudaBackend : Backend
{
    private readonly CudaContext _context;
    private readonly CudaWeights _weights;
    private readonly XlstmConfig _config;
    private readonly CudaStream _stream;
    private readonly KernelSet _kernels;
    private readonly StepPass _step;
    private readonly RowsPass _rows;
    private readonly Lock _turn = new();
    private bool _disposed;

    private CudaBackend(XlstmConfig config, CudaContext context, CudaWeights weights)
    {
        (_config, _context, _weights) = (config, context, weights);
        context.MakeCurrent();
        _stream = new CudaStream(context);
        _kernels = new KernelSet(context, weights.Format);
        _step = new StepPass(config, context, _stream, weights, _kernels);
        _rows = new RowsPass(config, context, _stream, weights, _kernels);
        _stream.Synchronize();
    }

    /// <inheritdoc/>
    public override string Description => $"cuda:{_context.Device.Ordinal}, {_context.Device.Name}";

    /// <inheritdoc/>
    public override int Threads => 1;

    /// <inheritdoc/>
    public override WeightFormat Weights => _weights.Format;

    /// <inheritdoc/>
    public override long WeightBytes => _weights.Memory!.ByteLength;

    /// <inheritdoc/>
    public override int MaxBatchTokens => RowsPass.MaxTokens;

    /// <summary>The model's sizes.</summary>
    public XlstmConfig Config => _config;

    /// <summary>Bytes of device memory beside weights and states, at the largest batch.</summary>
    public long WorkspaceBytes => _step.ByteLength + RowsPass.WorkspaceBytes(_config, _weights.Format);

    /// <summary>What the driver's compiler says of the kernels.</summary>
    public string CompilerLog => _kernels.Log;

    /// <summary>Loads a checkpoint.</summary>
    /// <param name="device">The GPU.</param>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="recipe">How the matrices are to be held.</param>
    /// <param name="threads">Threads that read, and pack.</param>
    /// <param name="progress">Told as bytes are read.</param>
    /// <param name="cancellationToken">Ends the load.</param>
    /// <exception cref="XlstmException">The device has too little memory, or the driver refuses.</exception>
    public static CudaBackend Load(
        CudaDevice device, Checkpoint checkpoint, WeightRecipe recipe, int threads, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var context = new CudaContext(device);
        try
        {
            CudaWeights weights = CudaWeightLoader.Load(checkpoint, recipe, [(context, ModelStage.All(checkpoint.Config))], threads, progress, cancellationToken)[0];
            try
            {
                return new CudaBackend(checkpoint.Config, context, weights);
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
    public override RecurrentState CreateState()
    {
        _context.MakeCurrent();
        return new CudaState(this, new DeviceBuffer(_context, CudaState.DeviceBytes(_config), "the state of a session"));
    }

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

            _rows.Run(items);
        }
    }

    /// <summary>Queues work of a state between batches and waits for it.</summary>
    public void Exclusively(Action<CudaStream> work)
    {
        lock (_turn)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _context.MakeCurrent();
            work(_stream);
            _stream.Synchronize();
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
                _rows.Dispose();
                _kernels.Dispose();
                _stream.Dispose();
                _weights.Dispose();
                _context.Dispose();
            }
        }
    }
}
