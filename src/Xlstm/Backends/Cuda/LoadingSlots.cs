using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>A buffer on both sides, and when the device is done with it.</summary>
internal sealed record LoadingSlot(PinnedBuffer Host, DeviceBuffer Device, CudaEvent Done);

/// <summary>A loading thread's stream and the buffers that it takes in turn.</summary>
internal sealed class LoadingSlots : IDisposable
{
    /// <summary>Buffers.</summary>
    public const int Count = 2;

    private readonly OwnedResources _owned = new();
    private readonly LoadingSlot[] _slots;
    private int _next;

    /// <param name="context">Where to; current on the calling thread.</param>
    /// <param name="bytes">Of a buffer.</param>
    public LoadingSlots(CudaContext context, long bytes)
    {
        (Stream, _slots) = _owned.OrNothing<(CudaStream, LoadingSlot[])>(owned => (owned.Add(new CudaStream(context)), [.. Enumerable.Range(0, Count).Select(_ => Make())]));

        LoadingSlot Make() => new(_owned.Add(new PinnedBuffer(context, bytes)), _owned.Add(new DeviceBuffer(context, bytes, "a loading buffer")), _owned.Add(new CudaEvent(context)));
    }

    /// <summary>Its copies and conversions.</summary>
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
    public void Dispose() => _owned.Dispose();
}
