using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>Shared memory beyond what every kernel may have.</summary>
internal static class SharedMemory
{
    private const int Always = 48 << 10;

    /// <summary>Lets a kernel have what it needs, if the device has it.</summary>
    /// <param name="context">Where.</param>
    /// <param name="kernel">The kernel.</param>
    /// <param name="bytes">Dynamic shared memory of a block of threads.</param>
    /// <param name="cause">"a width of 65536": what of the model asks for it.</param>
    /// <exception cref="XlstmException">The device has not that much.</exception>
    public static void Allow(CudaContext context, CudaKernel kernel, int bytes, string cause)
    {
        if (bytes > context.Device.MaxSharedBytes)
        {
            throw new XlstmException(
                $"{context.Device.Name}: {cause} needs {bytes:N0} bytes of shared memory, but a multiprocessor gives {context.Device.MaxSharedBytes:N0}: the CPU can run this model");
        }

        if (bytes > Always)
        {
            kernel.AllowShared(bytes);
        }
    }
}
