using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>A state in a device's memory: the layout of <see cref="RecurrentState"/>, but that every block starts at a whole 16 bytes.</summary>
internal sealed unsafe class CudaState : RecurrentState
{
    private readonly CudaBackend _backend;
    private readonly DeviceBuffer _memory;
    private readonly long _blockFloats;
    private readonly int _blocks;

    /// <param name="backend">Whose device and stream it uses.</param>
    /// <param name="memory">Of <see cref="DeviceBytes"/>; owned from here on.</param>
    public CudaState(CudaBackend backend, DeviceBuffer memory)
    {
        (_backend, _memory) = (backend, memory);
        _blockFloats = BlockFloatCount(backend.Config);
        _blocks = backend.Config.NumBlocks;
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
    public override void CopyTo(Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, _blocks * _blockFloats, nameof(destination));
        fixed (float* pointer = destination)
        {
            nint target = (nint)pointer;
            _backend.Exclusively(stream =>
            {
                for (int block = 0; block < _blocks; block++)
                {
                    stream.Download((float*)target + (block * _blockFloats), BlockAddress(block), sizeof(float) * _blockFloats);
                }
            });
        }
    }

    /// <inheritdoc/>
    public override void CopyFrom(ReadOnlySpan<float> source)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(source.Length, _blocks * _blockFloats, nameof(source));
        fixed (float* pointer = source)
        {
            nint origin = (nint)pointer;
            _backend.Exclusively(stream =>
            {
                for (int block = 0; block < _blocks; block++)
                {
                    stream.Upload(BlockAddress(block), (float*)origin + (block * _blockFloats), sizeof(float) * _blockFloats);
                }
            });
        }
    }

    /// <inheritdoc/>
    public override void Dispose() => _memory.Dispose();

    private ulong BlockAddress(int block) => _memory.Address + (ulong)(block * (_memory.ByteLength / _blocks));
}
