using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>A buffer on both sides, and when the device is done with it.</summary>
internal sealed record LoadingSlot(PinnedBuffer Host, DeviceBuffer Device, CudaEvent Done);

/// <summary>A loading thread's stream and the buffers that it takes in turn.</summary>
internal sealed class LoadingSlots : IDisposable
{
    private readonly LoadingSlot[] _slots;
    private int _next;

    /// <param name="context">Where to; current on the calling thread.</param>
    /// <param name="bytes">Of a buffer.</param>
    public LoadingSlots(CudaContext context, int bytes)
    {
        Stream = new CudaStream(context);
        _slots = [Make(), Make()];

        LoadingSlot Make() => new(new PinnedBuffer(context, bytes), new DeviceBuffer(context, bytes, "a loading buffer"), new CudaEvent(context));
    }

    public CudaStream Stream { get; }

    /// <summary>The buffer used longest ago, once the device is done with it.</summary>
    public LoadingSlot Next()
    {
        LoadingSlot slot = _slots[_next++ % _slots.Length];
        slot.Done.Synchronize();
        return slot;
    }

    /// <summary>Waits until everything has arrived.</summary>
    public void Finish() => Stream.Synchronize();

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (LoadingSlot slot in _slots)
        {
            slot.Host.Dispose();
            slot.Device.Dispose();
            slot.Done.Dispose();
        }

        Stream.Dispose();
    }
}
