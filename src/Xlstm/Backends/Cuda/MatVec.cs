using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>How one kind of product of a step is started: on which kernel, with how much shared memory.</summary>
internal sealed class MatVec
{
    private const int Threads = 256;
    private const int ScratchBytes = 128;

    // stream_hopper.cu: a warp more than multiplies, 8 elements a vector, room in front of the ring, the longest ring.
    private const int StreamThreads = Threads + 32;
    private const int StreamHeaderBytes = 1024;
    private const int StreamMaxStages = 8;
    private const int Warps = Threads / 32;
    private const int ColsPerVector = 8 * Threads;

    // Two blocks of threads share a multiprocessor, so that one multiplies while the other waits for its input.
    private const int BlocksPerMultiprocessor = 2;
    private const int StreamSharedBytes = 110 << 10;

    private static readonly (int Vectors, int Rows)[] Streams = [(1, 4), (2, 2), (4, 2), (6, 1), (8, 1)];

    private readonly CudaKernel _kernel;
    private readonly int _blocks;
    private readonly int _sharedBytes;
    private readonly int _stages;
    private readonly int _blockRows;

    /// <param name="context">Where.</param>
    /// <param name="kernels">Its kernels.</param>
    /// <param name="general">The kernel for every device and size.</param>
    /// <param name="stream">The name of the one for the copy engine, or null.</param>
    /// <param name="maxVectors">The most vectors a thread that one is compiled for.</param>
    /// <param name="matrix">A matrix of the size in question.</param>
    public MatVec(CudaContext context, KernelSet kernels, CudaKernel general, string? stream, int maxVectors, CudaMatrix matrix)
    {
        _blocks = BlocksPerMultiprocessor * context.Device.Multiprocessors;
        (int vectors, int rows) = Streams.FirstOrDefault(s => s.Vectors * ColsPerVector >= matrix.Cols);
        if (stream is not null && vectors > 0 && vectors <= maxVectors && matrix.Stride == matrix.Cols && kernels.Stream(stream, vectors) is { } kernel)
        {
            int stageBytes = rows * matrix.Stride * sizeof(ushort);
            _blockRows = ((matrix.Rows + 1) / 2 / _blocks * 2) + 2;
            int fixedBytes = StreamHeaderBytes + (sizeof(float) * Warps * _blockRows);
            _stages = Math.Min(StreamMaxStages, (Math.Min(StreamSharedBytes, context.Device.MaxSharedBytes) - fixedBytes) / stageBytes);
            if (_stages >= 2)
            {
                _kernel = kernel;
                _sharedBytes = fixedBytes + (_stages * stageBytes);
                SharedMemory.Allow(context, kernel, StreamSharedBytes, "the model");
                return;
            }
        }

        _stages = 0;
        _kernel = general;
        _sharedBytes = ScratchBytes + (sizeof(float) * matrix.Stride);
        SharedMemory.Allow(context, general, _sharedBytes, $"a width of {matrix.Cols}");
    }

    /// <summary>Queues a product.</summary>
    public void Launch(CudaStream stream, in MatVecArguments arguments)
    {
        if (_stages == 0)
        {
            stream.Launch(_kernel, _blocks, 1, Threads, _sharedBytes, arguments);
        }
        else
        {
            stream.Launch(_kernel, _blocks, 1, StreamThreads, _sharedBytes, new StreamArguments { Product = arguments, Stages = _stages, BlockRows = _blockRows });
        }
    }
}
