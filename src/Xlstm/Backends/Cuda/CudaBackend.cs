using System.Globalization;
using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cuda;

/// <summary>One NVIDIA GPU or several, each with neighbouring blocks: runs one batch at a time, from GPU to GPU.</summary>
internal sealed class CudaBackend : Backend
{
    private readonly OwnedResources _owned;
    private readonly XlstmConfig _config;
    private readonly CudaStage[] _stages;
    private readonly CudaStateLayout _states;
    private readonly Lock _turn = new();
    private bool _disposed;

    private CudaBackend(XlstmConfig config, CudaStage[] stages, CudaStateLayout states, OwnedResources owned) =>
        (_config, _stages, _states, _owned) = (config, stages, states, owned);

    /// <inheritdoc/>
    public override string Description => string.Join(" + ", _stages.Select(stage => string.Create(
        CultureInfo.InvariantCulture,
        $"cuda:{stage.Context.Device.Ordinal}, {stage.Context.Device.Name}{(_stages.Length > 1 ? $" ({stage.Stage.Blocks} blocks)" : "")}")));

    /// <inheritdoc/>
    public override int Threads => 1;

    /// <inheritdoc/>
    public override WeightFormat Weights => _stages[0].Weights.Format;

    /// <inheritdoc/>
    public override StateFormat State => _states.Format;

    /// <inheritdoc/>
    public override long StateBytes => _states.ByteLength;

    /// <inheritdoc/>
    public override long WeightBytes => _stages.Sum(stage => stage.Weights.Memory!.ByteLength);

    /// <inheritdoc/>
    public override long StepWeightBytes
    {
        get
        {
            CudaWeights first = _stages[0].Weights;
            return first.LmHead.Address == first.Embeddings.Address ? WeightBytes : WeightBytes - first.Embeddings.ByteLength;
        }
    }

    /// <inheritdoc/>
    public override long StepStateBytes => _states.ByteLength - _states.LogitBytes;

    /// <inheritdoc/>
    public override int MaxBatchTokens => RowsPass.MaxTokens;

    /// <inheritdoc/>
    public override int MaxShortlist => ShortlistKernel.MaxWanted;

    /// <inheritdoc/>
    public override int SmallestChunk => MaxBatchTokens; // always the same cuts, since sums depend on them

    /// <summary>The model's sizes.</summary>
    public XlstmConfig Config => _config;

    /// <inheritdoc/>
    public override long WorkspaceBytes => _stages.Sum(stage => stage.WorkspaceBytes);

    /// <summary>What the driver's compiler says of the kernels.</summary>
    public string CompilerLog => _stages[0].CompilerLog;

    /// <summary>Loads a checkpoint.</summary>
    /// <param name="places">The GPUs in the order of the blocks, and what each is to hold.</param>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="recipe">How the matrices are to be held.</param>
    /// <param name="threads">Threads that read, and pack.</param>
    /// <param name="state">How the states of sessions are held.</param>
    /// <param name="progress">Told as bytes are read.</param>
    /// <param name="cancellationToken">Ends the load.</param>
    /// <exception cref="XlstmException">A device has too little memory, or the driver refuses.</exception>
    public static CudaBackend Load(
        IReadOnlyList<DevicePlace> places,
        Checkpoint checkpoint,
        WeightRecipe recipe,
        int threads,
        StateFormat state = StateFormat.Float32,
        IProgress<LoadProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        return new OwnedResources().OrNothing(owned =>
        {
            (CudaContext Context, ModelStage Stage)[] opened = [.. places.Select(place => (owned.Add(new CudaContext(place.Device)), place.Stage))];
            CudaWeights[] weights = CudaWeightLoader.Load(checkpoint, recipe, opened, threads, progress, cancellationToken);
            Array.ForEach(weights, loaded => owned.Add(loaded));
            var states = new CudaStateLayout(checkpoint.Config, state);
            CudaStage[] stages = [.. opened.Select((place, i) => owned.Add(new CudaStage(checkpoint.Config, place.Context, place.Stage, weights[i], states)))];
            return new CudaBackend(checkpoint.Config, stages, states, owned);
        });
    }

    /// <inheritdoc/>
    public override RecurrentState CreateState() => new OwnedResources().OrNothing(owned =>
        new CudaState(this, _config, _states, [.. _stages.Select(stage => owned.Add(stage.CreateState()))]));

    /// <inheritdoc/>
    public override void Forward(ReadOnlySpan<BatchItem> items)
    {
        lock (_turn)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            int rows = 0;
            foreach (ref readonly BatchItem item in items)
            {
                rows += item.Tokens.Length;
            }

            IPass? previous = null;
            for (int i = 0; i < _stages.Length; i++)
            {
                CudaStage stage = _stages[i];
                IPass pass = stage.PassFor(items);
                stage.Context.MakeCurrent();
                pass.Prepare(items, i);
                if (previous is not null)
                {
                    stage.Receive(_stages[i - 1], previous.X, pass.X, rows);
                }

                pass.Queue();
                previous = pass;
            }

            previous!.Finish(items);
        }
    }

    /// <inheritdoc/>
    public override MemoryBandwidth? MeasureMemory(long wantedBytes)
    {
        lock (_turn)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _stages is [var only] ? DeviceCopy.Measure(only.Context, wantedBytes) : null;
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
            _disposed = true;
            _owned.Dispose();
        }
    }
}
