using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>A state in a device's memory: the layout of <see cref="RecurrentState"/>, but that every block starts at a whole 16 bytes.</summary>
internal sealed unsafe class CudaState : RecurrentState
{
    private readonly CudaBackend _backend;
    private readonly DeviceBuffer _memory;
    private readonly long _blockFloats;

    /// <param name="backend">Whose device and stream it uses.</param>
    /// <param name="memory">Of <see cref="DeviceBytes"/>; owned from here on.</param>
    public CudaState(CudaBackend backend, DeviceBuffer memory)
        : base(backend.Config)
    {
        (_backend, _memory) = (backend, memory);
        _blockFloats = BlockFloatCount(Config);
        Reset();
    }

    /// <inheritdoc/>
    public override long ByteLength => _memory.ByteLength;

    /// <summary>Of the first float, as the device knows it.</summary>
    public ulong Address => _memory.Address;

    /// <summary>Floats from one block to the next.</summary>
    public static long BlockStride(XlstmConfig config) => (BlockFloatCount(config) + 3) / 4 * 4;

    /// <summary>Bytes of a state on a device.</summary>
    public static long DeviceBytes(XlstmConfig config) => sizeof(float) * config.NumBlocks * BlockStride(config);

    /// <inheritdoc/>
    public override void Reset() => _backend.Exclusively(stream => stream.Fill(_memory.Address, 0, ByteLength));

    /// <inheritdoc/>
    public override void CopyBlockTo(int block, Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(destination.Length, _blockFloats, nameof(destination));
        fixed (float* pointer = destination)
        {
            nint target = (nint)pointer;
            _backend.Exclusively(stream => stream.Download((void*)target, BlockAddress(block), sizeof(float) * _blockFloats));
        }
    }

    /// <inheritdoc/>
    public override void CopyBlockFrom(int block, ReadOnlySpan<float> source)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(source.Length, _blockFloats, nameof(source));
        fixed (float* pointer = source)
        {
            nint origin = (nint)pointer;
            _backend.Exclusively(stream => stream.Upload(BlockAddress(block), (void*)origin, sizeof(float) * _blockFloats));
        }
    }

    /// <inheritdoc/>
    public override void CopyFrom(RecurrentState source) => _backend.Exclusively(stream => stream.Copy(Address, ((CudaState)source).Address, ByteLength));

    /// <inheritdoc/>
    public override void Dispose() => _memory.Dispose();

    private ulong BlockAddress(int block) => _memory.Address + (ulong)(sizeof(float) * block * BlockStride(Config));
}
