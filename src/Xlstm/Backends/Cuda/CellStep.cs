using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>How the cell's step kernel is started: for one token of each of any number of sequences.</summary>
internal sealed class CellStep
{
    // cell_step.cu: columns of C a block of threads owns, by the format of the state; the room for sums over rows of C.
    private const int Threads = 256;
    private const int Columns32 = 32;
    private const int Columns16 = 64;
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
        (int columns, int columnsPerThread) = state == StateFormat.Float32 ? (Columns32, 4) : (Columns16, 8);
        _kernel = kernels.CellStep;
        _blocks = config.NumHeads * ((config.VHeadDim + columns - 1) / columns);
        _sharedBytes = sizeof(float) * (ScratchFloats + (columnsPerThread * Threads) + (2 * config.QkHeadDim));
        SharedMemory.Allow(context, _kernel, _sharedBytes, $"a head width of {config.QkHeadDim}");
    }

    private CellStep(CudaKernel kernel, XlstmConfig config, int columns, int perThread)
    {
        _kernel = kernel;
        kernel.PreferShared();
        _blocks = config.NumHeads * ((config.VHeadDim + columns - 1) / columns);
        _sharedBytes = sizeof(float) * (ScratchFloats + (perThread * Threads) + (2 * config.QkHeadDim));
    }

    public static IEnumerable<(string, CellStep)> Variants(XlstmConfig config, CudaContext context, KernelSet kernels, StateFormat state)
    {
        yield return (state.ToString(), new CellStep(config, context, kernels, state));
        CudaModule module = new(context, "cell_step.sm_90", true);
        if (state == StateFormat.Float32)
        {
            foreach ((int c, int b) in new[] { (32, 3), (32, 4), (64, 2), (64, 3) })
            {
                yield return ($"c32 {c} {b}", new CellStep(module.Kernel($"variant_c32_{c}_{b}"), config, c, 4));
            }
        }
        else
        {
            foreach ((int c, int b) in new[] { (32, 2), (32, 4), (64, 3), (64, 4), (128, 2) })
            {
                yield return ($"c16 {c} {b}", new CellStep(module.Kernel($"variant_c16_{c}_{b}"), config, c, 8));
            }
        }
        Console.WriteLine(module.Log);
    }

    /// <summary>Queues a step of so many sequences.</summary>
    public void Launch(CudaStream stream, in CellArguments arguments, int items) => stream.Launch(_kernel, _blocks, items, Threads, _sharedBytes, arguments);
}
