using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>Products of few rows with bfloat16 matrices on compute capability 9.0: matmul_few_wgmma.cu.</summary>
internal sealed class FewRows
{
    /// <summary>Most rows.</summary>
    public const int MaxTokens = 128;

    /// <summary>Columns of a tile, rows of the weights of a copy.</summary>
    public const int TileCols = 64;
    public const int BoxRows = 64;

    private const int ThreadsPerGroup = 128;
    private const int ProducerThreads = 32;
    private const int MaxGroups = 3;
    private const int MaxStages = 16;
    private const int TileAlignment = 1024;
    private const int BarrierBytes = 2 * MaxStages * sizeof(ulong);
    private const int MaxSharedBytes = 226 << 10;

    private static readonly int[] TileTokens = [8, 16, 32, 64, 128];

    private readonly CudaStream _stream;
    private readonly CudaKernel[][] _kernels;
    private readonly int _multiprocessors;

    /// <summary>For the sweep.</summary>
    public static (int Groups, int Ranks, int RingBytes)? Override { get; set; }

    /// <param name="context">Where.</param>
    /// <param name="stream">Where products are queued.</param>
    /// <param name="kernels">By tile, then by <see cref="MatMulResult"/>.</param>
    public FewRows(CudaContext context, CudaStream stream, CudaKernel[][] kernels)
    {
        (_stream, _kernels, _multiprocessors) = (stream, kernels, context.Device.Multiprocessors);
        foreach (CudaKernel kernel in kernels.SelectMany(kinds => kinds))
        {
            SharedMemory.Allow(context, kernel, MaxSharedBytes, "the model");
            kernel.PreferShared();
        }
    }

    /// <summary>Rows of an input's box, smallest first.</summary>
    public static IReadOnlyList<int> BoxTokens => TileTokens;

    /// <summary>The number among <see cref="BoxTokens"/> of the box that takes so many tokens.</summary>
    public static int TileOf(int tokens) => Array.FindIndex(TileTokens, tile => tile >= tokens);

    /// <summary>Whether a product can be made here: outputs come in pairs.</summary>
    public static bool Takes(MatMulResult kind, in MatMulArguments product) =>
        product.Tokens <= MaxTokens && product.Rows % 2 == 0 && (kind == MatMulResult.SwiGlu || product.Stride % 2 == 0);

    /// <summary>Queues a product.</summary>
    /// <param name="kind">What becomes of the sums.</param>
    /// <param name="product">The product.</param>
    /// <param name="inputMap">Of the input, in boxes of the tile's tokens.</param>
    /// <param name="weightsMap">Of the matrix, in boxes of <see cref="BoxRows"/>.</param>
    public void Run(MatMulResult kind, in MatMulArguments product, ulong inputMap, ulong weightsMap)
    {
        int tile = TileOf(product.Tokens);
        Plan plan = PlanOf(TileTokens[tile], product.Rows, product.Cols / TileCols);
        _stream.Launch(
            _kernels[tile][(int)kind],
            plan.Ranks,
            plan.TilesAtOnce,
            (plan.Groups * ThreadsPerGroup) + ProducerThreads,
            plan.SharedBytes,
            new FewArguments { Product = product, InputMap = inputMap, WeightsMap = weightsMap, Stages = plan.Stages },
            cluster: plan.Ranks);
    }

    private Plan PlanOf(int tokens, int rows, int steps)
    {
        (int groups, int ranks, int ringBytes) = Override ?? Choose(tokens, rows, steps);
        int stageBytes = ((groups * BoxRows) + tokens) * TileCols * sizeof(ushort);
        int stages = Math.Clamp(ringBytes / stageBytes, 2, MaxStages);
        int shared = TileAlignment + (stages * stageBytes) + BarrierBytes;
        int tiles = (rows + (groups * BoxRows) - 1) / (groups * BoxRows);
        return new Plan(groups, ranks, ranks > 1 ? tiles : Math.Min(tiles, (MaxSharedBytes + 1024) / (shared + 1024) * _multiprocessors), stages, shared);
    }

    private (int Groups, int Ranks, int RingBytes) Choose(int tokens, int rows, int steps)
    {
        int slots = 2 * _multiprocessors, groups = tokens >= 64 ? 2 : 1;
        while (groups < MaxGroups && (rows + (groups * BoxRows) - 1) / (groups * BoxRows) > slots)
        {
            groups++;
        }

        int tiles = (rows + (groups * BoxRows) - 1) / (groups * BoxRows), ranks = 1;
        while (ranks < 8 && 2 * ranks * tiles <= slots && 2 * ranks <= steps)
        {
            ranks *= 2;
        }

        return (groups, ranks, tiles * ranks > _multiprocessors ? 100 << 10 : 200 << 10);
    }

    /// <summary>How a product is dealt out.</summary>
    /// <param name="Groups">Warpgroups of a block of threads, <see cref="BoxRows"/> rows of the weights each.</param>
    /// <param name="Ranks">Blocks of threads that share the columns of a tile, as a cluster.</param>
    /// <param name="TilesAtOnce">Tiles under way.</param>
    /// <param name="Stages">Of the ring.</param>
    /// <param name="SharedBytes">Of a block of threads.</param>
    private readonly record struct Plan(int Groups, int Ranks, int TilesAtOnce, int Stages, int SharedBytes);
}
