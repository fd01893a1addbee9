using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>Products of few rows with bfloat16 matrices on compute capability 9.0: matmul_few_wgmma.cu.</summary>
internal sealed class FewRows : IDisposable
{
    /// <summary>Most rows.</summary>
    public const int MaxTokens = 128;

    /// <summary>Columns of a tile, rows of the weights of a copy.</summary>
    public const int TileCols = 64;
    public const int BoxRows = 64;

    private const int MaxStages = 16;
    private const int ProducerThreads = 32;
    private const int BarrierBytes = (2 * MaxStages * sizeof(ulong)) + 64;
    private const int TileAlignment = 1024;

    private static readonly Tile[] Standard = [new(8, 64, 128), new(16, 64, 128), new(32, 64, 128), new(64, 128, 256), new(128, 256, 256)];
    private static readonly Tile[] Other = [new(8, 64, 128), new(16, 64, 128), new(32, 128, 256), new(64, 256, 256), new(128, 128, 256)];
    private readonly Tile[] Tiles = (Tile[])Standard.Clone();

    private readonly CudaStream _stream;
    private readonly CudaKernel[][] _kernels;
    private readonly Shape[] _shapes;
    private readonly DeviceArena _arena;

    /// <param name="context">Where; current on the calling thread.</param>
    /// <param name="stream">Where products are queued.</param>
    /// <param name="weights">The matrices.</param>
    /// <param name="kernels">By tile, then by <see cref="MatMulResult"/>.</param>
    public FewRows(CudaContext context, CudaStream stream, CudaWeights weights, CudaKernel[][] kernels)
    {
        (_stream, _kernels) = (stream, kernels[..5]);
        for (int i = 0; i < 5; i++)
        {
            if (Environment.GetEnvironmentVariable($"FEWB_{Standard[i].Tokens}") == "1")
            {
                Tiles[i] = Other[i];
                _kernels[i] = kernels[5 + i - 2];
            }
        }

        _shapes = [.. Tiles.Select(tile => ShapeOf(context.Device, tile))];
        for (int i = 0; i < Tiles.Length; i++)
        {
            foreach (CudaKernel kernel in _kernels[i])
            {
                SharedMemory.Allow(context, kernel, _shapes[i].SharedBytes, "the model");
                kernel.PreferShared();
            }
        }

        int rows = Matrices(weights).Max(matrix => matrix.Rows);
        _arena = new DeviceArena(context, stream, "the pieces of a product", PieceBytes(context.Device), sizeof(uint) * ((rows / BoxRows) + 1L));
    }

    /// <summary>Bytes of device memory.</summary>
    public long ByteLength => _arena.ByteLength;

    /// <summary>Rows of an input's box, smallest first.</summary>
    public static IEnumerable<int> BoxTokens => Standard.Select(tile => tile.Tokens);

    /// <summary>The number among <see cref="BoxTokens"/> of the box that takes so many tokens.</summary>
    public static int TileOf(int tokens) => Array.FindIndex(Standard, tile => tile.Tokens >= tokens);

    /// <summary>Every matrix that is multiplied by rows.</summary>
    public static IEnumerable<CudaMatrix> Matrices(CudaWeights weights) =>
        weights.Blocks.SelectMany(block => new[] { block.Qkvo, block.OutProj, block.GateUp, block.ProjDown }).Append(weights.LmHead).Where(matrix => matrix.Address != 0);

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
        // Never more blocks of threads than steps: the pieces of a tile are those of neighbouring blocks, none of which is idle.
        int tile = TileOf(product.Tokens);
        int blocks = Math.Min(_shapes[tile].Blocks, (product.Rows + Tiles[tile].Rows - 1) / Tiles[tile].Rows * (product.Cols / TileCols));
        _stream.Launch(_kernels[tile][(int)kind], blocks, 1, Tiles[tile].Consumers + ProducerThreads, _shapes[tile].SharedBytes, new FewArguments
        {
            Product = product,
            InputMap = inputMap,
            WeightsMap = weightsMap,
            Pieces = _arena[0],
            Arrived = _arena[1],
            Policy = Policy,
            Stages = _shapes[tile].Stages,
        });
    }

    /// <inheritdoc/>
    public void Dispose() => _arena.Dispose();

    private static ulong Policy => Environment.GetEnvironmentVariable("FEW_POLICY") == "1" ? 0x12F0000000000000ul : 0x1000000000000000ul;

    private long PieceBytes(CudaDevice device) => Tiles.Zip(_shapes, (tile, shape) => 2L * shape.Blocks * tile.Rows * tile.Tokens * sizeof(float)).Max();

    private static Shape ShapeOf(CudaDevice device, Tile tile)
    {
        // Temporary, for the sweep: blocks per multiprocessor and KiB of a ring.
        string[] sweep = (Environment.GetEnvironmentVariable($"FEW_{tile.Tokens}") ?? (tile.Tokens == 128 ? "1,200" : "2,50")).Split(',');
        int perMultiprocessor = int.Parse(sweep[0], System.Globalization.CultureInfo.InvariantCulture), ringBytes = int.Parse(sweep[1], System.Globalization.CultureInfo.InvariantCulture) << 10;
        int stageBytes = (tile.Rows + tile.Tokens) * TileCols * sizeof(ushort);
        int stages = Math.Min(MaxStages, ringBytes / stageBytes);
        return new Shape(perMultiprocessor * device.Multiprocessors, stages, TileAlignment + (stages * stageBytes) + BarrierBytes);
    }

    /// <summary>What a block of threads makes at a time: tokens, by rows of the weights; the threads that multiply.</summary>
    private readonly record struct Tile(int Tokens, int Rows, int Consumers);

    private readonly record struct Shape(int Blocks, int Stages, int SharedBytes);
}
