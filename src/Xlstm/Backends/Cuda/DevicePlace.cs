namespace Xlstm.Backends.Cuda;

/// <summary>A GPU and what of a model goes there.</summary>
/// <param name="Device">The GPU.</param>
/// <param name="Stage">Its blocks.</param>
internal sealed record DevicePlace(CudaDevice Device, ModelStage Stage);
