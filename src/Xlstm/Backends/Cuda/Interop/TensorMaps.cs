namespace Xlstm.Backends.Cuda.Interop;

/// <summary>Descriptions of bfloat16 matrices for the copy engine, in device memory.</summary>
internal sealed unsafe class TensorMaps : IDisposable
{
    private const int MapBytes = 128;
    private const int MapAlignment = 64;
    private const int BFloat16 = 9;
    private const int Swizzle128Bytes = 3;
    private const int Promote256Bytes = 3;

    private readonly DeviceBuffer _device;
    private readonly PinnedBuffer _host;

    /// <param name="context">Where; current on the calling thread.</param>
    /// <param name="count">How many.</param>
    public TensorMaps(CudaContext context, int count)
    {
        (_device, _host) = new OwnedResources().OrNothing(owned => (
            owned.Add(new DeviceBuffer(context, count * MapBytes, "the matrices' descriptions")), owned.Add(new PinnedBuffer(context, count * MapBytes))));
    }

    /// <summary>A description, as the device knows it.</summary>
    public ulong this[int index] => _device.Address + (ulong)(index * MapBytes);

    /// <summary>Describes a matrix; the device knows after <see cref="Upload"/>.</summary>
    /// <param name="index">Which description.</param>
    /// <param name="address">Of the first element, a multiple of 16.</param>
    /// <param name="rows">Rows; past them a box is zeros.</param>
    /// <param name="cols">Columns, a multiple of 8, without gaps between rows.</param>
    /// <param name="boxRows">Rows of a box, at most 256.</param>
    /// <param name="boxCols">Columns of a box: 64, the width of the swizzle.</param>
    public void Describe(int index, ulong address, int rows, int cols, int boxRows, int boxCols)
    {
        byte* room = stackalloc byte[MapBytes + MapAlignment];
        void* map = (void*)(((nint)room + MapAlignment - 1) / MapAlignment * MapAlignment);
        ulong* lengths = stackalloc ulong[] { (ulong)cols, (ulong)rows };
        ulong* strides = stackalloc ulong[] { (ulong)cols * sizeof(ushort) };
        uint* box = stackalloc uint[] { (uint)boxCols, (uint)boxRows };
        uint* steps = stackalloc uint[] { 1, 1 };
        CudaError.Check(
            CudaDriver.TensorMapEncodeTiled(map, BFloat16, 2, address, lengths, strides, box, steps, 0, Swizzle128Bytes, Promote256Bytes, 0), "describing a matrix");
        Buffer.MemoryCopy(map, _host.Pointer + (index * MapBytes), MapBytes, MapBytes);
    }

    /// <summary>Queues the copy of all descriptions.</summary>
    public void Upload(CudaStream stream) => stream.Upload(_device.Address, _host.Pointer, _device.ByteLength);

    /// <inheritdoc/>
    public void Dispose()
    {
        _device.Dispose();
        _host.Dispose();
    }
}
