using System.Globalization;

namespace Xlstm.Backends.Cuda.Interop;

/// <summary>Memory of a device.</summary>
internal sealed class DeviceBuffer : CudaHandle
{
    /// <param name="context">Where; current on the calling thread.</param>
    /// <param name="byteLength">Length in bytes, at least 1.</param>
    /// <param name="what">"the weights": for the error.</param>
    /// <exception cref="XlstmException">The device has not that much free.</exception>
    public DeviceBuffer(CudaContext context, long byteLength, string what)
        : base(context)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(byteLength, 1);
        ByteLength = byteLength;
        int result = CudaDriver.MemAlloc(out ulong address, (nuint)byteLength);
        if (result == CudaError.OutOfMemory)
        {
            throw new XlstmException(
                $"{context.Device.Name}: out of memory: {what} needs {Size(byteLength)}, but {Size(context.FreeMemory)} are free: close other programs on the GPU or take a smaller weight format");
        }

        CudaError.Check(result, "allocating memory");
        Own((nint)address);
    }

    /// <summary>Length in bytes.</summary>
    public long ByteLength { get; }

    /// <summary>The first byte, as the device knows it.</summary>
    public ulong Address => (ulong)Value;

    /// <summary>"12.3 MB", "1.23 GB".</summary>
    internal static string Size(long bytes) =>
        bytes < 1_000_000_000 ? (bytes / 1e6).ToString("0.0 'MB'", CultureInfo.InvariantCulture) : (bytes / 1e9).ToString("0.00 'GB'", CultureInfo.InvariantCulture);

    /// <inheritdoc/>
    protected override int Free() => CudaDriver.MemFree((ulong)handle);
}

/// <summary>Memory of the host that the device reads and writes at full speed.</summary>
internal sealed unsafe class PinnedBuffer : CudaHandle
{
    /// <param name="context">For whose transfers; current on the calling thread.</param>
    /// <param name="byteLength">Length in bytes, at least 1.</param>
    public PinnedBuffer(CudaContext context, long byteLength)
        : base(context)
    {
        ByteLength = byteLength;
        CudaError.Check(CudaDriver.MemHostAlloc(out nint pointer, (nuint)byteLength, 0), $"pinning {byteLength:N0} bytes of memory");
        Own(pointer);
    }

    /// <summary>Length in bytes.</summary>
    public long ByteLength { get; }

    /// <summary>The first byte.</summary>
    public byte* Pointer => (byte*)Value;

    /// <inheritdoc/>
    protected override int Free() => CudaDriver.MemFreeHost(handle);
}
