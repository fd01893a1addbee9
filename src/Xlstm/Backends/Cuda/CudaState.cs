using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>A state in a device's memory, in the layout of <see cref="RecurrentState"/>.</summary>
internal sealed unsafe class CudaState : RecurrentState
{
    private readonly CudaBackend _backend;
    private readonly DeviceBuffer _memory;

    /// <param name="backend">Whose device and stream it uses.</param>
    /// <param name="memory">Owned from here on.</param>
    public CudaState(CudaBackend backend, DeviceBuffer memory)
    {
        (_backend, _memory) = (backend, memory);
        Reset();
    }

    /// <inheritdoc/>
    public override long ByteLength => _memory.ByteLength;

    /// <summary>Of the first float, as the device knows it.</summary>
    public ulong Address => _memory.Address;

    /// <inheritdoc/>
    public override void Reset() => _backend.Exclusively(stream => stream.Fill(_memory.Address, 0, ByteLength));

    /// <inheritdoc/>
    public override void CopyTo(Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, ByteLength / sizeof(float), nameof(destination));
        fixed (float* pointer = destination)
        {
            nint target = (nint)pointer;
            _backend.Exclusively(stream => stream.Download((void*)target, _memory.Address, ByteLength));
        }
    }

    /// <inheritdoc/>
    public override void CopyFrom(ReadOnlySpan<float> source)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(source.Length, ByteLength / sizeof(float), nameof(source));
        fixed (float* pointer = source)
        {
            nint origin = (nint)pointer;
            _backend.Exclusively(stream => stream.Upload(_memory.Address, (void*)origin, ByteLength));
        }
    }

    /// <inheritdoc/>
    public override void Dispose() => _memory.Dispose();
}
