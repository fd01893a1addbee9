using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cuda;

/// <summary>One GPU's share of a model: weights, a stream, workspaces and the passes over its blocks.</summary>
internal sealed class CudaStage : IDisposable
{
    private readonly OwnedResources _owned = new();
    private readonly StageParts _parts;
    private readonly CudaEvent _done;
    private readonly StepPass _step;
    private readonly RowsPass _rows;
    private readonly BatchPass _batch;

    /// <param name="config">The model's sizes.</param>
    /// <param name="context">Whose GPU.</param>
    /// <param name="stage">What of the model is on it.</param>
    /// <param name="weights">Of these.</param>
    /// <param name="states">How states lie in memory.</param>
    public CudaStage(XlstmConfig config, CudaContext context, ModelStage stage, CudaWeights weights, CudaStateLayout states)
    {
        context.MakeCurrent();
        (_parts, _done, _step, _rows, _batch) = _owned.OrNothing(owned =>
        {
            CudaStream stream = owned.Add(new CudaStream(context));
            KernelSet kernels = owned.Add(new KernelSet(context, weights.Format, states.Format));
            var parts = new StageParts(owned, config, context, stream, stage, weights, kernels, states);
            CudaEvent done = owned.Add(new CudaEvent(context));
            StepPass step = owned.Add(new StepPass(parts));
            MatMul matMul = owned.Add(new MatMul(parts));
            var forward = new RowsForward(parts, matMul);
            RowsPass rows = owned.Add(new RowsPass(parts, matMul, forward));
            BatchPass batch = owned.Add(new BatchPass(parts, matMul, forward));
            stream.Synchronize();
            return (parts, done, step, rows, batch);
        });
    }

    /// <summary>Whose GPU.</summary>
    public CudaContext Context => _parts.Context;

    /// <summary>What of the model is here.</summary>
    public ModelStage Stage => _parts.Stage;

    public CudaWeights Weights => _parts.Weights;

    /// <summary>What the driver's compiler says of the kernels.</summary>
    public string CompilerLog => _parts.Kernels.Log;

    /// <summary>Bytes of device memory beside weights and states, at the largest batch.</summary>
    public long WorkspaceBytes => MeasureWorkspaces(_parts.Config, Weights.Format, _parts.States.Format, Stage);

    /// <summary>Bytes of device memory that a stage needs for weights, one state and the workspaces of all passes, and for the load before.</summary>
    public static long Measure(XlstmConfig config, WeightRecipe recipe, StateFormat state, ModelStage stage) =>
        CudaWeightLayout.Measure(config, recipe, stage) + Math.Max(
            CudaWeightLoader.BufferBytes,
            new CudaStateLayout(config, state).PartBytes(stage.FirstBlock, stage.Blocks) + MeasureWorkspaces(config, recipe.Format, state, stage));

    /// <summary>Allocates its part of a state.</summary>
    public CudaStatePart CreateState() => CudaStatePart.Create(Context, _parts.Stream, _parts.States, Stage.FirstBlock, Stage.Blocks);

    /// <summary>The pass for a batch.</summary>
    public IPass PassFor(ReadOnlySpan<BatchItem> items) => !BatchPass.Takes(items) ? _rows : items.Length == 1 ? _step : _batch;

    /// <summary>Queues the copy of a residual stream from another GPU, behind what is queued there.</summary>
    /// <param name="previous">That GPU.</param>
    /// <param name="from">The address there.</param>
    /// <param name="to">The address here.</param>
    /// <param name="rows">T of [T, D].</param>
    public void Receive(CudaStage previous, ulong from, ulong to, int rows)
    {
        previous.Context.MakeCurrent();
        previous._done.Record(previous._parts.Stream);
        Context.MakeCurrent();
        _parts.Stream.Wait(previous._done);
        _parts.Stream.CopyFromPeer(Context, to, previous.Context, from, sizeof(float) * (long)rows * _parts.Config.EmbeddingDim);
    }

    /// <inheritdoc/>
    public void Dispose() => _owned.Dispose();

    private static long MeasureWorkspaces(XlstmConfig config, WeightFormat weights, StateFormat state, ModelStage stage) =>
        StepPass.WorkspaceBytes(config, stage) + RowsPass.WorkspaceBytes(config, stage, weights) + BatchPass.WorkspaceBytes(config, stage, weights, state);
}
