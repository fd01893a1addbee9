using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>What the passes of a stage work with; the stage owns all of it.</summary>
/// <param name="Owned">Takes over what a pass makes, so that nothing stays allocated when making it fails halfway.</param>
/// <param name="Config">The model's sizes.</param>
/// <param name="Context">The GPU; current on the calling thread.</param>
/// <param name="Stream">Where everything is queued.</param>
/// <param name="Stage">What of the model is here.</param>
/// <param name="Weights">The weights of these.</param>
/// <param name="Kernels">Compiled for this GPU.</param>
/// <param name="States">How states lie in memory.</param>
internal sealed record StageParts(
    OwnedResources Owned, XlstmConfig Config, CudaContext Context, CudaStream Stream, ModelStage Stage, CudaWeights Weights, KernelSet Kernels, CudaStateLayout States);
