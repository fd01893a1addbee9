using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cuda;

/// <summary>The inputs that a product's kernel for the copy engine is compiled for.</summary>
internal enum StreamInputs
{
    None,

    /// <summary>A width.</summary>
    Short,

    /// <summary>As long as SwiGLU's outputs, too.</summary>
    Long,
}

/// <summary>How one kind of product of a step is started: on which kernel, with how much shared memory.</summary>
internal abstract class MatVec
{
    /// <summary>Threads that multiply; where a warp more streams the weights, it comes on top.</summary>
    protected const int Threads = 256;

    /// <summary>Warps of these.</summary>
    protected const int Warps = Threads / 32;

    /// <summary>Threads of a block whose weights come through the copy engine.</summary>
    protected const int StreamThreads = Threads + 32;

    /// <summary>Bytes in front of that block's ring.</summary>
    protected const int StreamHeaderBytes = 1024;

    /// <summary>Elements of the input that the threads take at a time: 8 each.</summary>
    protected const int ColsPerVector = Warps * WarpCols;

    /// <summary>Elements of the input that a warp takes at a time.</summary>
    protected const int WarpCols = 8 * 32;

    /// <summary>Bytes in front of the input where there is no copy engine.</summary>
    protected const int ScratchBytes = 128;

    /// <summary>Two blocks of threads share a multiprocessor, so that one multiplies while the other waits for its input.</summary>
    protected const int BlocksPerMultiprocessor = 2;

    /// <summary>Their shared memory, the same for all kernels of a step.</summary>
    protected const int StreamSharedBytes = 110 << 10;

    // What a block of threads has the L2 fetch for the next product; with bfloat16 weights it does not pay.
    private const int NextInt8Bytes = 8 << 10;
    private const int NextInt4Bytes = 32 << 10;

    /// <param name="context">Where.</param>
    /// <param name="kernels">Its kernels.</param>
    /// <param name="name">"up": what the kernels' names say of the product.</param>
    /// <param name="streams">For what inputs the copy engine's kernel can make this product.</param>
    /// <param name="matrix">A matrix of the size in question.</param>
    /// <param name="wholeCols">Columns of the input that one warp has to take together where the copy engine streams: a head's.</param>
    public static MatVec For(CudaContext context, KernelSet kernels, string name, StreamInputs streams, CudaMatrix matrix, int wholeCols = WarpCols)
    {
        if (matrix.Stride != matrix.Cols)
        {
            streams = StreamInputs.None; // it has no code for padded rows
        }

        return matrix.IsQuantized ? new QuantizedMatVec(context, kernels, name, streams, matrix, wholeCols) : new PlainMatVec(context, kernels, name, streams, matrix, wholeCols);
    }

    /// <summary>What a product's kernel is told of the one after it.</summary>
    public static NextWeights Upcoming(CudaMatrix matrix) => new()
    {
        Address = matrix.IsQuantized ? matrix.Address : 0,
        Bytes = matrix.ByteLength,
        Halves = matrix.IsQuantized && matrix.Parts is { Second: > 0, Third: 0 } ? 2 : 1,
        Share = matrix.Format == WeightFormat.Int8 ? NextInt8Bytes : NextInt4Bytes,
    };

    /// <summary>Queues a product.</summary>
    public abstract void Launch(CudaStream stream, in MatVecArguments arguments);
}

/// <summary>A product with float32 or bfloat16 weights: step.cu, stream_hopper.cu.</summary>
internal sealed class PlainMatVec : MatVec
{
    private const int MaxStages = 8;

    private const int ShortVectors = 4;

    // stream_hopper.cu: vectors a thread and rows a stage; those past ShortVectors for long inputs only.
    private static readonly (int Vectors, int Rows)[] Streams = [(1, 4), (2, 2), (4, 2), (6, 1), (8, 1)];

    private readonly CudaKernel _kernel;
    private readonly int _blocks;
    private readonly int _sharedBytes;
    private readonly int _stages;
    private readonly int _blockRows;

    /// <inheritdoc cref="MatVec.For"/>
    public PlainMatVec(CudaContext context, KernelSet kernels, string name, StreamInputs streams, CudaMatrix matrix, int wholeCols)
    {
        _blocks = BlocksPerMultiprocessor * context.Device.Multiprocessors;
        (int vectors, int rows) = Streams.FirstOrDefault(s => s.Vectors * ColsPerVector >= matrix.Cols && s.Vectors * WarpCols % wholeCols == 0);
        if (vectors > 0 && streams >= (vectors <= ShortVectors ? StreamInputs.Short : StreamInputs.Long) && kernels.Stream(name, matrix.Format, vectors) is { } kernel)
        {
            int stageBytes = rows * matrix.Stride * sizeof(ushort);
            _blockRows = ((matrix.Rows + 1) / 2 / _blocks * 2) + 2;
            int fixedBytes = StreamHeaderBytes + (sizeof(float) * Warps * _blockRows);
            _stages = Math.Min(MaxStages, (Math.Min(StreamSharedBytes, context.Device.MaxSharedBytes) - fixedBytes) / stageBytes);
            if (_stages >= 2)
            {
                _kernel = kernel;
                _sharedBytes = fixedBytes + (_stages * stageBytes);
                SharedMemory.Allow(context, kernel, StreamSharedBytes, "the model");
                return;
            }
        }

        _stages = 0;
        _kernel = kernels.Step(name, matrix.Format);
        _sharedBytes = ScratchBytes + (sizeof(float) * matrix.Stride);
        SharedMemory.Allow(context, _kernel, _sharedBytes, $"a width of {matrix.Cols}");
    }

    /// <inheritdoc/>
    public override void Launch(CudaStream stream, in MatVecArguments arguments)
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

/// <summary>A product with int8 or int4 weights: step_quantized.cu, stream_quantized_hopper.cu.</summary>
internal sealed class QuantizedMatVec : MatVec
{
    private const int MaxStages = 16;

    // stream_quantized_hopper.cu: bytes of a stage.
    private const int Int8StageBytes = 8 * (PackedMatrix.ScaleLine + (2 * PackedMatrix.Int8GroupBytes));
    private const int Int4StageBytes = PackedMatrix.Int4RowBytes + (16 * (PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes)));

    // Bytes of a group of the input beside its columns: scale and sum.
    private const int GroupScaleBytes = 2 * sizeof(float);

    // stream_quantized_hopper.cu: vectors a thread.
    private static readonly int[] Streams = [1, 2, 4, 6];

    private readonly CudaKernel _kernel;
    private readonly int _blocks;
    private readonly int _threads;
    private readonly int _sharedBytes;
    private readonly QuantizedArguments _arguments;

    /// <inheritdoc cref="MatVec.For"/>
    public QuantizedMatVec(CudaContext context, KernelSet kernels, string name, StreamInputs streams, CudaMatrix matrix, int wholeCols)
    {
        _blocks = BlocksPerMultiprocessor * context.Device.Multiprocessors;
        int panels = matrix.Parts.Panels;
        _arguments = new QuantizedArguments { Parts = new PanelParts(matrix.Parts), BlockPanels = (panels / 2 / _blocks * 2) + 2 };
        int bytesPerValue = name is "qkvo" or "up" ? 1 : 2; // is_fine of quantized.cuh
        int inputBytes = (matrix.Stride * bytesPerValue) + (matrix.Stride / PackedMatrix.GroupSize * GroupScaleBytes);
        int fixedBytes = inputBytes + (sizeof(float) * Warps * _arguments.BlockPanels * PackedMatrix.PanelRows);
        int vectors = Streams.FirstOrDefault(v => v * ColsPerVector >= matrix.Cols && v * WarpCols % wholeCols == 0);
        int mostVectors = streams switch
        {
            StreamInputs.Long => 6,
            StreamInputs.Short => name == "out" ? 4 : 2, // wide heads are many vectors
            _ => 0,
        };
        if (vectors > 0 && vectors <= mostVectors && kernels.Stream(name, matrix.Format, vectors) is { } kernel)
        {
            int stageBytes = matrix.Format == WeightFormat.Int8 ? Int8StageBytes : Int4StageBytes;
            int stages = Math.Min(MaxStages, (Math.Min(StreamSharedBytes, context.Device.MaxSharedBytes) - StreamHeaderBytes - fixedBytes) / stageBytes);
            if (stages >= 2)
            {
                _kernel = kernel;
                _threads = StreamThreads;
                _arguments.Stages = stages;
                _sharedBytes = StreamHeaderBytes + fixedBytes + (stages * stageBytes);
                SharedMemory.Allow(context, kernel, StreamSharedBytes, "the model");
                return;
            }
        }

        _kernel = kernels.Step(name, matrix.Format);
        _threads = Threads;
        _sharedBytes = ScratchBytes + (sizeof(float) * matrix.Stride) + fixedBytes;
        SharedMemory.Allow(context, _kernel, _sharedBytes, $"a width of {matrix.Cols}");
    }

    /// <inheritdoc/>
    public override void Launch(CudaStream stream, in MatVecArguments arguments)
    {
        QuantizedArguments all = _arguments;
        all.Product = arguments;
        stream.Launch(_kernel, _blocks, 1, _threads, _sharedBytes, all);
    }
}
