using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>Products of few rows with bfloat16 matrices on compute capability 9.0: matmul_few_wgmma.cuh.</summary>
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
    private const int MaxRanks = 8;
    private const int RingBytes = 200 << 10;
    private const int MaxSharedBytes = RingBytes + TileAlignment + BarrierBytes;

    private static readonly int[] TileTokens = [8, 32, 64, 128];

    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly KernelSet _kernelSet;
    private readonly CudaKernel[]?[] _kernels = new CudaKernel[TileTokens.Length][];
    private readonly int _multiprocessors;

    /// <param name="parts">What passes work with.</param>
    public FewRows(StageParts parts) =>
        (_context, _stream, _kernelSet, _multiprocessors) = (parts.Context, parts.Stream, parts.Kernels, parts.Context.Device.Multiprocessors);

    /// <summary>Rows of an input's box, smallest first.</summary>
    public static IReadOnlyList<int> BoxTokens => TileTokens;

    /// <summary>The number among <see cref="BoxTokens"/> of the box that takes so many tokens.</summary>
    public static int TileOf(int tokens) => Array.FindIndex(TileTokens, tile => tile >= tokens);

    /// <summary>Whether a product can be made here: outputs come in pairs.</summary>
    public static bool Takes(MatMulResult kind, in MatMulArguments product) =>
        product.Tokens <= MaxTokens && product.Rows % 2 == 0 && (kind == MatMulResult.SwiGlu || product.Stride % 2 == 0);

    /// <summary>Has the kernels for so many tokens ready, which may take the driver's compiler a second; nothing may be recorded meanwhile.</summary>
    public void Load(int tokens)
    {
        int tile = TileOf(tokens);
        if (_kernels[tile] is null)
        {
            CudaKernel[] kernels = _kernelSet.LoadFew(TileTokens[tile]);
            foreach (CudaKernel kernel in kernels)
            {
                SharedMemory.Allow(_context, kernel, MaxSharedBytes, "the model");
                kernel.PreferShared();
            }

            _kernels[tile] = kernels;
        }
    }

    /// <summary>Queues a product; <see cref="Load"/> has been called for as many tokens.</summary>
    /// <param name="kind">What becomes of the sums.</param>
    /// <param name="product">The product.</param>
    /// <param name="inputMap">Of the input, in boxes of the tile's tokens.</param>
    /// <param name="weightsMap">Of the matrix, in boxes of <see cref="BoxRows"/>.</param>
    public void Run(MatMulResult kind, in MatMulArguments product, ulong inputMap, ulong weightsMap)
    {
        int tile = TileOf(product.Tokens);
        Plan plan = PlanOf(TileTokens[tile], product.Rows, product.Cols / TileCols);
        _stream.Launch(
            _kernels[tile]![(int)kind],
            plan.Ranks,
            plan.TilesAtOnce,
            (plan.Groups * ThreadsPerGroup) + ProducerThreads,
            plan.SharedBytes,
            new FewArguments { Product = product, InputMap = inputMap, WeightsMap = weightsMap, Stages = plan.Stages },
            cluster: plan.Ranks);
    }

    private Plan PlanOf(int tokens, int rows, int steps)
    {
        (int groups, int ranks) = Choose(rows, steps);
        int tiles = TilesOf(rows, groups), stageBytes = ((groups * BoxRows) + tokens) * TileCols * sizeof(ushort);
        int stages = Math.Min(MaxStages, RingBytes / stageBytes);
        int sumBytes = ranks > 1 ? groups * BoxRows * tokens * sizeof(float) : 0; // where the ring was
        int shared = TileAlignment + Math.Max((stages * stageBytes) + BarrierBytes, sumBytes);
        return new Plan(groups, ranks, ranks > 1 ? tiles : Math.Min(tiles, _multiprocessors), stages, shared);
    }

    /// <summary>
    /// One block of threads a multiprocessor with all its memory for a ring, and of the ways to deal a matrix out the one that leaves
    /// the fewest multiprocessors idle; among equals the fewest ranks, then the most groups, which read the input the fewest times.
    /// </summary>
    private (int Groups, int Ranks) Choose(int rows, int steps)
    {
        (int Groups, int Ranks, double Busy) best = default;
        for (int ranks = 1; ranks <= MaxRanks; ranks *= 2)
        {
            for (int groups = MaxGroups; groups > 0; groups--)
            {
                int blocks = TilesOf(rows, groups) * ranks, waves = (blocks + _multiprocessors - 1) / _multiprocessors;
                double busy = (double)blocks / (waves * _multiprocessors);
                if (busy > best.Busy && (ranks == 1 || (waves == 1 && ranks <= steps)))
                {
                    best = (groups, ranks, busy);
                }
            }
        }

        return (best.Groups, best.Ranks);
    }

    private static int TilesOf(int rows, int groups) => (rows + (groups * BoxRows) - 1) / (groups * BoxRows);

    /// <summary>How a product is dealt out.</summary>
    /// <param name="Groups">Warpgroups of a block of threads, <see cref="BoxRows"/> rows of the weights each.</param>
    /// <param name="Ranks">Blocks of threads that share the columns of a tile, as a cluster.</param>
    /// <param name="TilesAtOnce">Tiles under way.</param>
    /// <param name="Stages">Of the ring.</param>
    /// <param name="SharedBytes">Of a block of threads.</param>
    private readonly record struct Plan(int Groups, int Ranks, int TilesAtOnce, int Stages, int SharedBytes);
}
