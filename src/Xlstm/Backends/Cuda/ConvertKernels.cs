using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>The kernels that turn stored elements into weights.</summary>
internal sealed class ConvertKernels : IDisposable
{
    private const int Threads = 256;
    private const int MaxBlocks = 2048;

    private readonly CudaModule _module;
    private readonly CudaKernel _toBFloat16;
    private readonly CudaKernel _toFloat32;

    /// <param name="context">Where; current on the calling thread.</param>
    public ConvertKernels(CudaContext context)
    {
        _module = new CudaModule(context, "convert.sm_80", startsEarly: false);
        _toBFloat16 = _module.Kernel("convert_bf16");
        _toFloat32 = _module.Kernel("convert_f32");
    }

    /// <summary>Queues a conversion.</summary>
    public void Launch(CudaStream stream, WeightFormat format, in ConvertArguments arguments) =>
        stream.Launch(format == WeightFormat.Float32 ? _toFloat32 : _toBFloat16, Math.Min(MaxBlocks, arguments.Rows), 1, Threads, 0, arguments);

    /// <inheritdoc/>
    public void Dispose() => _module.Dispose();
}
