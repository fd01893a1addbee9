using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>Several arrays in one piece of zeroed device memory: sizes first, then the memory, then the addresses.</summary>
internal sealed class DeviceArena : IDisposable
{
    private const int Alignment = 256;

    private readonly DeviceBuffer _memory;
    private readonly long[] _offsets;

    /// <param name="context">Where; current on the calling thread.</param>
    /// <param name="stream">Zeroes it.</param>
    /// <param name="what">For errors.</param>
    /// <param name="byteLengths">Of each array.</param>
    public DeviceArena(CudaContext context, CudaStream stream, string what, params ReadOnlySpan<long> byteLengths)
    {
        _offsets = new long[byteLengths.Length];
        long next = 0;
        for (int i = 0; i < byteLengths.Length; i++)
        {
            _offsets[i] = next;
            next += Align(byteLengths[i]);
        }

        _memory = new OwnedResources().OrNothing(owned =>
        {
            DeviceBuffer memory = owned.Add(new DeviceBuffer(context, next, what));
            stream.Fill(memory.Address, 0, next);
            return memory;
        });
    }

    /// <summary>Bytes of all arrays.</summary>
    public long ByteLength => _memory.ByteLength;

    /// <summary>The address of an array.</summary>
    public ulong this[int index] => _memory.Address + (ulong)_offsets[index];

    /// <summary>Bytes of arrays of these lengths.</summary>
    public static long Measure(params ReadOnlySpan<long> byteLengths)
    {
        long bytes = 0;
        foreach (long length in byteLengths)
        {
            bytes += Align(length);
        }

        return bytes;
    }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    private static long Align(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;
}
