using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>What becomes of a product's sums.</summary>
internal enum MatMulResult
{
    /// <summary>Stored as float32.</summary>
    Store,

    /// <summary>Stored as bfloat16.</summary>
    StoreHalf,

    /// <summary>Added to the residual stream.</summary>
    Add,

    /// <summary>silu(gate) up, stored as the input of the next product.</summary>
    SwiGlu,

    /// <summary>Capped as logits are.</summary>
    Cap,
}

/// <summary>The inputs of products over many rows, as <see cref="MatMul"/> knows them.</summary>
internal enum MatMulInput
{
    /// <summary>[T, D].</summary>
    Norm,

    /// <summary>[T, VD].</summary>
    Heads,

    /// <summary>[T, F].</summary>
    Ffn,
}

/// <summary>Products of many rows with a model's matrices: chooses the kernel for the device and the number of rows.</summary>
internal sealed class MatMul : IDisposable
{
    private const int Threads = 256;

    // matmul_f32.cu, matmul_bf16.cu: a tile's tokens and rows, bytes of its ring.
    private const int TileF32 = 64;
    private const int TileBf16 = 128;
    private const int RingBytesBf16 = 4 * 2 * TileBf16 * 32 * sizeof(ushort);

    // matmul_few_bf16.cu: a tile's tokens and rows, the most tokens it is the fastest for.
    private const int TileFew = 32;
    private const int RingBytesFew = 6 * 2 * TileFew * 128 * sizeof(ushort);
    private const int MaxFew = 64;

    // matmul_wgmma.cu.
    private const int WgmmaThreads = 384;
    private const int WgmmaTokens = 128;
    private const int WgmmaRows = 256;
    private const int WgmmaCols = 64;
    private const int WgmmaSharedBytes = (4 * (WgmmaTokens + WgmmaRows) * WgmmaCols * sizeof(ushort)) + 64 + 1024;

    private const int Inputs = 3;
    private const int MatricesPerBlock = 4;

    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly KernelSet _kernels;
    private readonly bool _float32;
    private readonly float _cap;
    private readonly TensorMaps? _maps;
    private readonly Dictionary<(ulong Address, int Rows, int Cols), int> _mapOf = [];
    private readonly QuantizedMatMul? _quantized;
    private readonly CudaBlockWeights _shapes;
    private readonly ulong[] _inputs = new ulong[Inputs];

    /// <param name="config">The model's sizes.</param>
    /// <param name="context">Where; current on the calling thread.</param>
    /// <param name="stream">Where products are queued.</param>
    /// <param name="weights">The model's matrices.</param>
    /// <param name="kernels">The device's kernels.</param>
    public MatMul(XlstmConfig config, CudaContext context, CudaStream stream, CudaWeights weights, KernelSet kernels)
    {
        (_context, _stream, _kernels, _shapes) = (context, stream, kernels, weights.Blocks[0]);
        _float32 = weights.Format == WeightFormat.Float32;
        _cap = config.OutputLogitSoftCap ?? 0;
        if (!_float32)
        {
            foreach (CudaKernel kernel in new[] { kernels.MatMulStore, kernels.MatMulStoreHalf!, kernels.MatMulAdd, kernels.MatMulSwiGlu, kernels.MatMulCap })
            {
                SharedMemory.Allow(context, kernel, RingBytesBf16, "the model");
            }
        }

        foreach (CudaKernel kernel in kernels.Few ?? [])
        {
            SharedMemory.Allow(context, kernel, RingBytesFew, "the model");
        }

        if (weights.Format is WeightFormat.Int8 or WeightFormat.Int4)
        {
            _quantized = new QuantizedMatMul(config, context, stream, kernels);
        }

        if (kernels.WgmmaStore is not null)
        {
            foreach (CudaKernel? kernel in new[] { kernels.WgmmaStore, kernels.WgmmaStoreHalf, kernels.WgmmaAdd, kernels.WgmmaSwiGlu })
            {
                SharedMemory.Allow(context, kernel!, WgmmaSharedBytes, "the model");
            }

            _maps = new TensorMaps(context, Inputs + (MatricesPerBlock * weights.Blocks.Length));
            if (_quantized is null)
            {
                foreach (CudaBlockWeights block in weights.Blocks)
                {
                    Describe(block, matrix => matrix);
                }
            }
        }
    }

    /// <summary>Says where an input lies from now on.</summary>
    /// <param name="input">Which.</param>
    /// <param name="address">[<paramref name="rows"/>, <paramref name="stride"/>] in the weights' elements.</param>
    /// <param name="rows">Rows there is room for.</param>
    /// <param name="stride">Elements of a row.</param>
    public void SetInput(MatMulInput input, ulong address, int rows, int stride)
    {
        if (_quantized is not null && _quantized.Reserve(rows) && _maps is not null)
        {
            Describe(_shapes, matrix => _quantized.CopyOf(matrix));
        }

        _inputs[(int)input] = address;
        _maps?.Describe((int)input, address, rows, stride, WgmmaTokens, WgmmaCols);
    }

    /// <summary>Tells the device of inputs that moved.</summary>
    public void InputsSet() => _maps?.Upload(_stream);

    /// <summary>Queues a product with a block's matrix.</summary>
    public void Run(MatMulResult kind, CudaMatrix matrix, MatMulInput input, ulong output, int tokens, int stride)
    {
        if (_quantized is not null)
        {
            if (tokens <= QuantizedMatMul.MaxFew)
            {
                _quantized.Run(kind, matrix, Arguments(matrix, _inputs[(int)input], output, tokens, stride));
                return;
            }

            matrix = _quantized.Copy(matrix, alternating: kind == MatMulResult.SwiGlu);
        }

        MatMulArguments arguments = Arguments(matrix, _inputs[(int)input], output, tokens, stride);

        // With few tokens the weights' way from memory is all that counts, and smaller tiles spread it over more multiprocessors.
        if (_maps is null || tokens <= MaxFew || !_mapOf.TryGetValue((matrix.Address, matrix.Rows, matrix.Cols), out int map))
        {
            Queue(kind, matrix, arguments);
            return;
        }

        CudaKernel kernel = kind switch
        {
            MatMulResult.Store => _kernels.WgmmaStore!,
            MatMulResult.StoreHalf => _kernels.WgmmaStoreHalf!,
            MatMulResult.Add => _kernels.WgmmaAdd!,
            _ => _kernels.WgmmaSwiGlu!,
        };
        _stream.Launch(
            kernel,
            (tokens + WgmmaTokens - 1) / WgmmaTokens,
            (matrix.Rows + WgmmaRows - 1) / WgmmaRows,
            WgmmaThreads,
            WgmmaSharedBytes,
            new WgmmaArguments { Product = arguments, InputMap = _maps[(int)input], WeightsMap = _maps[map] });
    }

    /// <summary>Queues the product that makes logits, of a few rows.</summary>
    /// <param name="lmHead">[V, D].</param>
    /// <param name="input">[<paramref name="rows"/>, D].</param>
    /// <param name="output">float32 [<paramref name="rows"/>, V].</param>
    /// <param name="rows">Rows.</param>
    public void Logits(CudaMatrix lmHead, ulong input, ulong output, int rows)
    {
        MatMulArguments arguments = Arguments(lmHead, input, output, rows, lmHead.Rows);
        if (_quantized is not null)
        {
            _quantized.Run(MatMulResult.Cap, lmHead, arguments);
        }
        else
        {
            Queue(MatMulResult.Cap, lmHead, arguments);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _maps?.Dispose();
        _quantized?.Dispose();
    }

    /// <summary>Describes a block's matrices to the copy engine.</summary>
    private void Describe(CudaBlockWeights block, Func<CudaMatrix, CudaMatrix> held)
    {
        foreach (CudaMatrix matrix in new[] { held(block.Qkvo), held(block.OutProj), held(block.GateUp), held(block.ProjDown) })
        {
            // Copies of one size lie in the same place.
            if (_mapOf.TryAdd((matrix.Address, matrix.Rows, matrix.Cols), Inputs + _mapOf.Count))
            {
                _maps!.Describe(_mapOf[(matrix.Address, matrix.Rows, matrix.Cols)], matrix.Address, matrix.Rows, matrix.Stride, WgmmaRows, WgmmaCols);
            }
        }
    }

    private void Queue(MatMulResult kind, CudaMatrix matrix, in MatMulArguments arguments)
    {
        if (_kernels.Few is { } few && arguments.Tokens <= MaxFew)
        {
            _stream.Launch(
                few[(int)kind], (arguments.Tokens + TileFew - 1) / TileFew, (matrix.Rows + TileFew - 1) / TileFew, Threads, RingBytesFew, arguments);
            return;
        }

        CudaKernel kernel = kind switch
        {
            MatMulResult.Store => _kernels.MatMulStore,
            MatMulResult.StoreHalf => _kernels.MatMulStoreHalf!,
            MatMulResult.Add => _kernels.MatMulAdd,
            MatMulResult.SwiGlu => _kernels.MatMulSwiGlu,
            _ => _kernels.MatMulCap,
        };
        int tile = _float32 ? TileF32 : TileBf16;
        _stream.Launch(kernel, (arguments.Tokens + tile - 1) / tile, (matrix.Rows + tile - 1) / tile, Threads, _float32 ? 0 : RingBytesBf16, arguments);
    }

    private MatMulArguments Arguments(CudaMatrix matrix, ulong input, ulong output, int tokens, int stride) => new()
    {
        Input = input,
        Weights = matrix.Address,
        Bias = matrix.Bias,
        Out = output,
        Tokens = tokens,
        Rows = matrix.Rows,
        Cols = matrix.Stride,
        Stride = stride,
        Cap = _cap,
    };
}
