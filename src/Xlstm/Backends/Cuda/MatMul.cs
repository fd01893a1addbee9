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

    private readonly CudaStream _stream;
    private readonly KernelSet _kernels;
    private readonly bool _float32;
    private readonly float _cap;
    private readonly FewRows? _few;
    private readonly TensorMaps? _maps;
    private readonly Dictionary<(ulong Address, int Rows, int Cols), int> _mapOf = [];
    private readonly QuantizedMatMul? _quantized;
    private readonly CudaWeights _weights;

    /// <param name="parts">What passes work with.</param>
    public MatMul(StageParts parts)
    {
        (CudaContext context, CudaStream stream, CudaWeights weights, KernelSet kernels) = (parts.Context, parts.Stream, parts.Weights, parts.Kernels);
        (_stream, _kernels, _weights) = (stream, kernels, weights);
        _float32 = weights.Format == WeightFormat.Float32;
        _cap = parts.Config.OutputLogitSoftCap ?? 0;
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
            _quantized = new QuantizedMatMul(parts.Config, context, stream, kernels);
        }

        if (kernels.WgmmaStore is not null)
        {
            foreach (CudaKernel? kernel in new[] { kernels.WgmmaStore, kernels.WgmmaStoreHalf, kernels.WgmmaAdd, kernels.WgmmaSwiGlu })
            {
                SharedMemory.Allow(context, kernel!, WgmmaSharedBytes, "the model");
            }

            CudaMatrix[] matrices = [.. Matrices(weights).DistinctBy(matrix => matrix.Address)];
            _maps = new TensorMaps(context, 2 * matrices.Length);
            if (_quantized is null)
            {
                _few = new FewRows(parts);
                Describe(matrices);
            }
        }
    }

    /// <summary>Rows of the boxes in which inputs are to be described; those of <see cref="FewRows"/>, then that of many rows.</summary>
    public IReadOnlyList<int> InputBoxes => _maps is null ? [] : _few is null ? [WgmmaTokens] : [.. FewRows.BoxTokens, WgmmaTokens];

    /// <summary>Has the kernels for so many rows ready; to be called before products of them are queued or recorded.</summary>
    public void Load(int tokens)
    {
        if (_quantized is not null && _quantized.Reserve(tokens) && _maps is not null)
        {
            Describe([.. BlockMatrices(_weights).Select(_quantized.CopyOf).Distinct()]);
        }

        if (tokens <= FewRows.MaxTokens)
        {
            _few?.Load(tokens);
        }
    }

    /// <summary>Queues a product.</summary>
    /// <param name="kind">What becomes of the sums.</param>
    /// <param name="matrix">The matrix.</param>
    /// <param name="inputs">Where the workspace has its inputs.</param>
    /// <param name="input">Which of them.</param>
    /// <param name="output">[<paramref name="tokens"/>, <paramref name="stride"/>].</param>
    /// <param name="tokens">Rows of input and output.</param>
    /// <param name="stride">Elements of a row of the output.</param>
    public void Run(MatMulResult kind, CudaMatrix matrix, MatMulInputs inputs, MatMulInput input, ulong output, int tokens, int stride)
    {
        if (_quantized is not null)
        {
            if (QuantizedMatMul.Takes(kind, tokens))
            {
                _quantized.Run(kind, matrix, Arguments(matrix, inputs[input], output, tokens, stride));
                return;
            }

            matrix = _quantized.Copy(matrix, alternating: kind == MatMulResult.SwiGlu);
        }

        MatMulArguments arguments = Arguments(matrix, inputs[input], output, tokens, stride);
        if (_few is not null && FewRows.Takes(kind, arguments))
        {
            _few.Run(kind, arguments, inputs.Map(input, FewRows.TileOf(tokens)), _maps![_mapOf[Key(matrix)] + 1]);
        }
        else if (_maps is not null && (tokens > MaxFew || _quantized is not null) && kind != MatMulResult.Cap)
        {
            Wgmma(kind, arguments, inputs.Map(input, InputBoxes.Count - 1), _maps[_mapOf[Key(matrix)]]);
        }
        else
        {
            Queue(kind, arguments);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _maps?.Dispose();
        _quantized?.Dispose();
    }

    private static IEnumerable<CudaMatrix> BlockMatrices(CudaWeights weights) =>
        weights.Blocks.SelectMany(block => new[] { block.Qkvo, block.OutProj, block.GateUp, block.ProjDown });

    private static IEnumerable<CudaMatrix> Matrices(CudaWeights weights) => BlockMatrices(weights).Append(weights.LmHead).Where(matrix => matrix.Address != 0);

    /// <summary>Copies of quantized matrices lie all in one place, those of one size under one description.</summary>
    private static (ulong Address, int Rows, int Cols) Key(CudaMatrix matrix) => (matrix.Address, matrix.Rows, matrix.Cols);

    /// <summary>Describes matrices to the copy engine.</summary>
    private void Describe(CudaMatrix[] matrices)
    {
        foreach (CudaMatrix matrix in matrices.DistinctBy(Key))
        {
            int index = 2 * _mapOf.Count;
            _mapOf.Add(Key(matrix), index);
            _maps!.Describe(index, matrix.Address, matrix.Rows, matrix.Stride, WgmmaRows, WgmmaCols);
            _maps.Describe(index + 1, matrix.Address, matrix.Rows, matrix.Stride, FewRows.BoxRows, FewRows.TileCols);
        }

        _maps!.Upload(_stream);
    }

    private void Wgmma(MatMulResult kind, in MatMulArguments arguments, ulong inputMap, ulong weightsMap)
    {
        CudaKernel kernel = kind switch
        {
            MatMulResult.Store => _kernels.WgmmaStore!,
            MatMulResult.StoreHalf => _kernels.WgmmaStoreHalf!,
            MatMulResult.Add => _kernels.WgmmaAdd!,
            _ => _kernels.WgmmaSwiGlu!,
        };
        _stream.Launch(
            kernel,
            (arguments.Tokens + WgmmaTokens - 1) / WgmmaTokens,
            (arguments.Rows + WgmmaRows - 1) / WgmmaRows,
            WgmmaThreads,
            WgmmaSharedBytes,
            new WgmmaArguments { Product = arguments, InputMap = inputMap, WeightsMap = weightsMap });
    }

    private void Queue(MatMulResult kind, in MatMulArguments arguments)
    {
        // With few tokens the weights' way from memory is all that counts, and smaller tiles spread it over more multiprocessors.
        if (_kernels.Few is { } few && arguments.Tokens <= MaxFew)
        {
            _stream.Launch(
                few[(int)kind], (arguments.Tokens + TileFew - 1) / TileFew, (arguments.Rows + TileFew - 1) / TileFew, Threads, RingBytesFew, arguments);
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
        _stream.Launch(kernel, (arguments.Tokens + tile - 1) / tile, (arguments.Rows + tile - 1) / tile, Threads, _float32 ? 0 : RingBytesBf16, arguments);
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
