using Xlstm.Checkpoints;

namespace Xlstm.Backends.Cpu;

/// <summary>
/// The CPU: owns the weights, the threads and the workspace, and runs one batch at a time through <see cref="ForwardPass"/>.
/// </summary>
internal sealed class CpuBackend : Backend
{
    private readonly XlstmConfig _config;
    private readonly CpuWeights _weights;
    private readonly WorkerPool _pool;
    private readonly ForwardPass _pass;
    private readonly CpuInstructionSet _instructionSet;
    private readonly Lock _turn = new();
    private bool _disposed;

    /// <param name="config">The model's sizes.</param>
    /// <param name="weights">Its weights; owned from here on.</param>
    /// <param name="threads">Threads in all.</param>
    /// <param name="instructionSet">Whose kernels to use.</param>
    public CpuBackend(XlstmConfig config, CpuWeights weights, int threads, CpuInstructionSet instructionSet)
    {
        (_config, _weights, _instructionSet) = (config, weights, instructionSet);
        _pool = new WorkerPool(threads);
        _pass = new ForwardPass(config, weights, _pool, instructionSet);
    }

    /// <summary>The model's sizes.</summary>
    public XlstmConfig Config => _config;

    /// <inheritdoc/>
    public override string Description => $"CPU, {_pool.Threads} thread{(_pool.Threads == 1 ? "" : "s")}, {_instructionSet.DisplayName()}";

    /// <inheritdoc/>
    public override int Threads => _pool.Threads;

    /// <inheritdoc/>
    public override WeightFormat Weights => _weights.Recipe.Format;

    /// <inheritdoc/>
    public override long WeightBytes => _weights.ByteLength;

    /// <inheritdoc/>
    public override int MaxBatchTokens => Workspace.MaxTokens;

    /// <summary>Loads a checkpoint.</summary>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="recipe">How the matrices are held.</param>
    /// <param name="threads">Threads that compute, and that read and convert.</param>
    /// <param name="instructionSet">Whose kernels to use.</param>
    /// <param name="progress">Told as bytes are read.</param>
    /// <param name="cancellationToken">Ends the load.</param>
    public static CpuBackend Load(
        Checkpoint checkpoint, WeightRecipe recipe, int threads, CpuInstructionSet instructionSet, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default) =>
        new(checkpoint.Config, WeightLoader.Load(checkpoint, recipe, threads, progress, cancellationToken), threads, instructionSet);

    /// <inheritdoc/>
    public override RecurrentState CreateState() => new CpuState(_config);

    /// <inheritdoc/>
    public override void Forward(ReadOnlySpan<BatchItem> items)
    {
        lock (_turn)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _pass.Run(items);
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
                _pool.Dispose();
                _pass.Dispose();
                _weights.Dispose();
            }
        }
    }
}
