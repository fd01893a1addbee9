using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cpu;

/// <summary>
/// The CPU: owns the weights, the threads and the workspace, and runs one batch at a time through <see cref="ForwardPass"/>.
/// </summary>
internal sealed class CpuBackend : Backend
{
    private readonly CpuWeights _weights;
    private readonly WorkerPool _pool;
    private readonly ForwardPass _pass;
    private readonly CpuInstructionSet _instructionSet;
    private readonly Lock _turn = new();
    private bool _disposed;

    /// <param name="weights">A model's weights; owned from here on.</param>
    /// <param name="threads">Threads in all.</param>
    /// <param name="instructionSet">Whose kernels to use.</param>
    public CpuBackend(CpuWeights weights, int threads, CpuInstructionSet instructionSet)
    {
        (_weights, _instructionSet) = (weights, instructionSet);
        _pool = new WorkerPool(threads);
        _pass = new ForwardPass(weights, _pool, instructionSet);
    }

    /// <summary>The model's sizes.</summary>
    public XlstmConfig Config => _weights.Config;

    /// <inheritdoc/>
    public override string Description => $"CPU, {_pool.Threads} thread{(_pool.Threads == 1 ? "" : "s")}, {_instructionSet.DisplayName()}";

    /// <inheritdoc/>
    public override int Threads => _pool.Threads;

    /// <inheritdoc/>
    public override WeightFormat Weights => _weights.Recipe.Format;

    /// <inheritdoc/>
    public override StateFormat State => StateFormat.Float32;

    /// <inheritdoc/>
    public override long StateBytes => sizeof(float) * RecurrentState.FloatCount(Config);

    /// <inheritdoc/>
    public override long WeightBytes => _weights.ByteLength;

    /// <inheritdoc/>
    public override long StepWeightBytes => _weights.StepByteLength;

    /// <inheritdoc/>
    public override long StepStateBytes => StateBytes;

    /// <inheritdoc/>
    public override long WorkspaceBytes => Workspace.MaxByteLength(Config, Threads);

    /// <inheritdoc/>
    public override int MaxBatchTokens => Workspace.MaxTokens;

    /// <inheritdoc/>
    public override int SmallestChunk => 96;

    /// <summary>Loads a checkpoint: a packed folder in its own format is mapped, everything else is read and packed.</summary>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="recipe">How the matrices are held.</param>
    /// <param name="threads">Threads that compute, and that read and convert.</param>
    /// <param name="instructionSet">Whose kernels to use.</param>
    /// <param name="progress">Told as bytes are read.</param>
    /// <param name="cancellationToken">Ends the load.</param>
    public static CpuBackend Load(
        Checkpoint checkpoint, WeightRecipe recipe, int threads, CpuInstructionSet instructionSet, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        if (checkpoint.Packed is { } packed && packed.Layout.Recipe.Format == recipe.Format)
        {
            CpuWeights mapped = new(packed.Layout, packed.Map());
            progress?.Report(new LoadProgress(1, 1, mapped.ByteLength, mapped.ByteLength));
            return new CpuBackend(mapped, threads, instructionSet);
        }

        var layout = new PackedLayout(checkpoint.Config, recipe);
        return new CpuBackend(new CpuWeights(layout, PackedLoader.Load(checkpoint, layout, threads, progress, cancellationToken)), threads, instructionSet);
    }

    /// <inheritdoc/>
    public override RecurrentState CreateState() => new CpuState(Config);

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
    public override MemoryBandwidth? MeasureMemory(long wantedBytes) => MemoryBandwidth.Measure(Threads, wantedBytes);

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
