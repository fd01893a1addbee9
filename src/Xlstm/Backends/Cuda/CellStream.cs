using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>How the cell's step of many sequences, with what follows it up to out_proj, is started on compute capability 9.0: cell_hopper.cu.</summary>
internal sealed class CellStream
{
    private const int Threads = 256;
    private const int Copies = 4;
    private const int VectorBytes = 16;
    private const int MaxHeadWidth = 1024;
    private const int ScratchBytes = (Threads / 32 * 4 * sizeof(float)) + 16;
    private const int PartBytes = 64 << 10;

    private readonly XlstmConfig _config;
    private readonly CudaKernel _cell;
    private readonly int _partRows;
    private readonly int _sharedBytes;

    private CellStream(XlstmConfig config, CudaContext context, CudaKernel cell, int elementSize, int partRows)
    {
        (_config, _cell, _partRows) = (config, cell, partRows);
        int rowBytes = config.VHeadDim * elementSize;
        _sharedBytes = (partRows * (rowBytes + (2 * sizeof(float)))) + (Threads * (VectorBytes / elementSize) * sizeof(float)) + (Copies * sizeof(ulong)) + ScratchBytes;
        SharedMemory.Allow(context, cell, _sharedBytes, "the model");
        cell.PreferShared();
    }

    /// <summary>Blocks of threads that share a head: as many sums of theirs are made of a row.</summary>
    public int Parts => _config.QkHeadDim / _partRows;

    /// <summary>Null where the device or the sizes are not for it.</summary>
    public static CellStream? Create(XlstmConfig config, CudaContext context, KernelSet kernels, StateFormat state) =>
        kernels.CellStream is { } kernel && RowsOfPart(config, state) is > 0 and var rows ? new CellStream(config, context, kernel, state.MatrixElementSize(), rows) : null;

    /// <summary><see cref="Parts"/> on a device that has the kernel; 1 where the sizes are not for it.</summary>
    public static int MostParts(XlstmConfig config, StateFormat state) => RowsOfPart(config, state) is > 0 and var rows ? config.QkHeadDim / rows : 1;

    /// <summary>Queues a step of so many sequences.</summary>
    /// <param name="stream">Where.</param>
    /// <param name="arguments">Without <see cref="CellStreamArguments.PartRows"/>.</param>
    /// <param name="items">Sequences.</param>
    public void Launch(CudaStream stream, CellStreamArguments arguments, int items)
    {
        arguments.PartRows = _partRows;
        stream.Launch(_cell, _config.NumHeads * Parts, items, Threads, _sharedBytes, arguments);
    }

    /// <summary>Rows of C that a block of threads takes; 0 where the sizes are not for the kernel.</summary>
    private static int RowsOfPart(XlstmConfig config, StateFormat state)
    {
        int rowBytes = config.VHeadDim * state.MatrixElementSize(), vectors = rowBytes / VectorBytes;
        int rows = Math.Min(config.QkHeadDim, PartBytes / rowBytes);
        bool fits = rowBytes % VectorBytes == 0 && vectors is > 0 and <= Threads && Threads % vectors == 0 && config.VHeadDim <= MaxHeadWidth
            && config.VDim == CudaMatrix.Pad(config.VDim) && rows > 0 && config.QkHeadDim % rows == 0 && rows % Copies == 0;
        return fits ? rows : 0;
    }
}
