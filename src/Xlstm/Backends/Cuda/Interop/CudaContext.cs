using Microsoft.Win32.SafeHandles;

namespace Xlstm.Backends.Cuda.Interop;

/// <summary>A device's primary context. It must be current on every thread that calls the driver.</summary>
internal sealed class CudaContext : SafeHandleZeroOrMinusOneIsInvalid
{
    private readonly int _device;

    /// <param name="device">The device to use.</param>
    public CudaContext(CudaDevice device)
        : base(ownsHandle: true)
    {
        Device = device;
        _device = device.Handle;
        CudaError.Check(CudaDriver.DevicePrimaryCtxRetain(out nint context, _device), $"opening {device.Name}");
        SetHandle(context);
        MakeCurrent();
    }

    /// <summary>The device.</summary>
    public CudaDevice Device { get; }

    /// <summary>Bytes of the device's memory that are free now.</summary>
    public long FreeMemory
    {
        get
        {
            MakeCurrent();
            CudaError.Check(CudaDriver.MemGetInfo(out nuint free, out _), "asking for free memory");
            return (long)free;
        }
    }

    /// <summary>Makes it the calling thread's.</summary>
    public void MakeCurrent() => CudaError.Check(CudaDriver.CtxSetCurrent(handle), "choosing the GPU");

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => CudaDriver.DevicePrimaryCtxRelease(_device) == 0;
}

/// <summary>Something of a context: keeps the context alive, and is freed with it current.</summary>
internal abstract class CudaHandle : SafeHandleZeroOrMinusOneIsInvalid
{
    private readonly CudaContext _context;

    /// <param name="context">Where it lives; current on the calling thread.</param>
    protected CudaHandle(CudaContext context)
        : base(ownsHandle: true) => _context = context;

    /// <summary>The driver's handle.</summary>
    /// <exception cref="ObjectDisposedException">It was freed.</exception>
    public nint Value
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed, this);
            return handle;
        }
    }

    /// <summary>Takes what the driver made, and keeps the context alive as long.</summary>
    protected void Own(nint made)
    {
        bool added = false;
        _context.DangerousAddRef(ref added);
        SetHandle(made);
    }

    /// <summary>Frees <see cref="System.Runtime.InteropServices.SafeHandle.handle"/>; the driver's result.</summary>
    protected abstract int Free();

    /// <inheritdoc/>
    protected sealed override bool ReleaseHandle()
    {
        bool freed = CudaDriver.CtxSetCurrent(_context.DangerousGetHandle()) == 0 && Free() == 0;
        _context.DangerousRelease();
        return freed;
    }
}
