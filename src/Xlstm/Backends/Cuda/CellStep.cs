using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>How the cell's step kernel is started: for one token of each of any number of sequences.</summary>
internal sealed class CellStep
{
    // cell_step.cu: columns of C a block of threads owns, by the format of the state; the room for sums over rows of C.
    private const int Threads = 256;
    private const int Columns32 = 32;
    private const int Columns16 = 64;
    private const int Warps = Threads / 32;
    private const int ScratchFloats = 32;

    private readonly CudaKernel _kernel;
    private readonly int _blocks;
    private readonly int _sharedBytes;

    /// <param name="config">The model's sizes.</param>
    /// <param name="context">Where.</param>
    /// <param name="kernels">Its kernels.</param>
    /// <param name="state">How C is held.</param>
    public CellStep(XlstmConfig config, CudaContext context, KernelSet kernels, StateFormat state)
    {
        int columns = state == StateFormat.Float32 ? Columns32 : Columns16;
        _kernel = kernels.CellStep;
        _blocks = config.NumHeads * ((config.VHeadDim + columns - 1) / columns);
        _sharedBytes = sizeof(float) * (ScratchFloats + (Warps * columns) + (2 * config.QkHeadDim));
        SharedMemory.Allow(context, _kernel, _sharedBytes, $"a head width of {config.QkHeadDim}");
    }

    /// <summary>Queues a step of so many sequences.</summary>
    public void Launch(CudaStream stream, in CellArguments arguments, int items) => stream.Launch(_kernel, _blocks, items, Threads, _sharedBytes, arguments);
}
