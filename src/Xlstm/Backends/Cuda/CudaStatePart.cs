using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>Neighbouring blocks of a state, in the memory of the GPU that has the blocks' weights.</summary>
/// <param name="Context">The GPU.</param>
/// <param name="Stream">Where its work is queued.</param>
/// <param name="Memory">Of <see cref="CudaStateLayout.PartBytes"/>; the part's.</param>
/// <param name="FirstBlock">The first of the blocks.</param>
/// <param name="BlockCount">How many they are.</param>
internal sealed record CudaStatePart(CudaContext Context, CudaStream Stream, DeviceBuffer Memory, int FirstBlock, int BlockCount) : IDisposable
{
    /// <summary>Allocates a part; its content is unknown.</summary>
    /// <exception cref="XlstmException">The GPU has too little memory free.</exception>
    public static CudaStatePart Create(CudaContext context, CudaStream stream, CudaStateLayout layout, int firstBlock, int blockCount)
    {
        context.MakeCurrent();
        return new CudaStatePart(context, stream, new DeviceBuffer(context, layout.PartBytes(firstBlock, blockCount), "the state of a session"), firstBlock, blockCount);
    }

    /// <summary>Whether a block is one of these.</summary>
    public bool Holds(int block) => block >= FirstBlock && block < FirstBlock + BlockCount;

    /// <summary>Queues work on the part's GPU and waits for it.</summary>
    public void Run(Action<CudaStream> work)
    {
        Context.MakeCurrent();
        work(Stream);
        Stream.Synchronize();
    }

    /// <inheritdoc/>
    public void Dispose() => Memory.Dispose();
}
