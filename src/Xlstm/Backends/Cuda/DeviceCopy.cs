using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>How fast a GPU copies its memory: the ceiling of a step, which reads weights and reads and writes states.</summary>
internal static class DeviceCopy
{
    private const long SmallestBytes = 1L << 20;

    /// <summary>Copies one buffer to another, several times; bytes read and bytes written both count.</summary>
    /// <param name="context">The GPU.</param>
    /// <param name="wantedBytes">Size of each buffer. Less is taken where both together would be more than half of what is free.</param>
    /// <exception cref="XlstmException">There is no memory even for small buffers, or the driver refuses.</exception>
    public static MemoryBandwidth Measure(CudaContext context, long wantedBytes)
    {
        long bytes = Math.Max(SmallestBytes, Math.Min(wantedBytes, context.FreeMemory / 4));
        using var owned = new OwnedResources();
        CudaStream stream = owned.Add(new CudaStream(context));
        DeviceBuffer source = owned.Add(new DeviceBuffer(context, bytes, "measuring its bandwidth"));
        DeviceBuffer target = owned.Add(new DeviceBuffer(context, bytes, "measuring its bandwidth"));
        CudaEvent[] marks = [.. Enumerable.Range(0, MemoryBandwidth.Passes + 1).Select(_ => owned.Add(new CudaEvent(context)))];
        stream.Fill(source.Address, 0x5A, bytes);
        stream.Copy(target.Address, source.Address, bytes);
        marks[0].Record(stream);
        foreach (CudaEvent mark in marks.AsSpan(1))
        {
            stream.Copy(target.Address, source.Address, bytes);
            mark.Record(stream);
        }

        marks[^1].Synchronize();
        double[] seconds = [.. marks.Skip(1).Select((mark, i) => mark.MillisecondsSince(marks[i]) / 1e3)];
        return MemoryBandwidth.Of(bytes, 2 * bytes, seconds);
    }
}
