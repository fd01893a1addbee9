using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cuda;

/// <summary>
/// Products of rows with int8 and int4 matrices. A few rows are multiplied as the weights are, in 8 bits (16 before the residual stream and the logits); for many it makes a
/// bfloat16 copy of the matrix at hand, which costs less than the product itself.
/// </summary>
internal sealed class QuantizedMatMul : IDisposable
{
    // Past these a copy of the matrix is quicker. lm_head, which is never copied, takes as many as a batch decodes.
    private const int MaxFew = 32;
    private const int MaxLogitRows = 128;

    private const int Threads = 256;
    private const int BlocksPerMultiprocessor = 2;
    private const int Warps = Threads / 32;

    // matmul_few_quantized.cu.
    private const int MaxBytesPerValue = 2;

    // quantize_rows: columns of a block of threads.
    private const int QuantizedCols = 4 * Threads;

    // dequantize: blocks of threads that share a panel.
    private const int PanelShares = 2;

    private readonly XlstmConfig _config;
    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly KernelSet _kernels;
    private readonly Dictionary<(MatMulResult Kind, WeightFormat Format, int Tiles), CudaKernel> _few = [];
    private readonly DeviceArena _rows;
    private DeviceBuffer? _copy;

    /// <param name="config">The model's sizes.</param>
    /// <param name="context">Where; current on the calling thread.</param>
    /// <param name="stream">Where products are queued.</param>
    /// <param name="kernels">The device's kernels.</param>
    public QuantizedMatMul(XlstmConfig config, CudaContext context, CudaStream stream, KernelSet kernels)
    {
        (_config, _context, _stream, _kernels) = (config, context, stream, kernels);
        foreach (int tiles in new[] { 1, 2, 4 })
        {
            foreach (WeightFormat format in new[] { WeightFormat.Int8, WeightFormat.Int4 })
            {
                CudaKernel plain = kernels.FewQuantized(format, tiles, MatMulResult.Store);
                _few.Add((MatMulResult.Store, format, tiles), plain);
                _few.Add((MatMulResult.StoreHalf, format, tiles), plain);
                CudaKernel fine = kernels.FewQuantized(format, tiles, MatMulResult.Add);
                _few.Add((MatMulResult.Add, format, tiles), fine);
                _few.Add((MatMulResult.Cap, format, tiles), fine);
                _few.Add((MatMulResult.SwiGlu, format, tiles), kernels.FewQuantized(format, tiles, MatMulResult.SwiGlu));
            }
        }

        _rows = new DeviceArena(context, stream, "rows in 8 bits", RowSizes(config));
    }

    /// <summary>Bytes of device memory at the largest batch.</summary>
    public static long WorkspaceBytes(XlstmConfig config) => RowSizes(config).Sum() + CopyBytes(config);

    /// <summary>Whether <see cref="Run"/> makes a product of so many rows; others are of a <see cref="Copy"/>.</summary>
    public static bool Takes(MatMulResult kind, int rows) => rows <= (kind == MatMulResult.Cap ? MaxLogitRows : MaxFew);

    /// <summary>Makes room for batches of so many rows; true if that made room for copies, which there was not before.</summary>
    public bool Reserve(int rows)
    {
        if (Takes(MatMulResult.Store, rows) || _copy is not null)
        {
            return false;
        }

        _copy = new DeviceBuffer(_context, CopyBytes(_config), "a matrix in bfloat16");
        return true;
    }

    /// <summary>Where <see cref="Copy"/> puts a matrix.</summary>
    public CudaMatrix CopyOf(CudaMatrix matrix) => matrix with { Address = _copy!.Address, Format = WeightFormat.BFloat16 };

    /// <summary>Queues a bfloat16 copy of a matrix, gate and up row by row in turn; it is there until the next one.</summary>
    public CudaMatrix Copy(CudaMatrix matrix, bool alternating)
    {
        CudaMatrix copy = CopyOf(matrix);
        CudaKernel kernel = matrix.Format == WeightFormat.Int8 ? _kernels.DequantizeInt8! : _kernels.DequantizeInt4!;
        ulong panels = matrix.Address;
        int first = 0;
        ReadOnlySpan<int> parts = [matrix.Parts.First, matrix.Parts.Second, matrix.Parts.Third, matrix.Parts.Fourth];
        for (int part = 0; part < parts.Length && parts[part] > 0; part++)
        {
            int count = PackedMatrix.PanelCount(parts[part]);
            _stream.Launch(kernel, count, PanelShares, Threads, 0, new DequantizeArguments
            {
                Panels = panels,
                Out = copy.Address,
                FirstRow = alternating ? part : first,
                RowStep = alternating ? 2 : 1,
                Rows = parts[part],
                Cols = matrix.Stride,
            });
            first += parts[part];
            panels += (ulong)(count * matrix.PanelBytes);
        }

        return copy;
    }

    /// <summary>Queues a product that it <see cref="Takes"/>.</summary>
    /// <param name="kind">What becomes of the sums.</param>
    /// <param name="matrix">int8 or int4.</param>
    /// <param name="arguments">The product, its input in bfloat16.</param>
    public void Run(MatMulResult kind, CudaMatrix matrix, in MatMulArguments arguments)
    {
        int tiles = arguments.Tokens <= 8 ? 1 : arguments.Tokens <= 16 ? 2 : 4;
        int shares = (arguments.Tokens + (8 * tiles) - 1) / (8 * tiles);
        CudaKernel round = kind is MatMulResult.Add or MatMulResult.Cap ? _kernels.QuantizeRowsFinely! : _kernels.QuantizeRows!;
        _stream.Launch(round, arguments.Tokens, (arguments.Cols + QuantizedCols - 1) / QuantizedCols, Threads, 0, new QuantizeRowsArguments
        {
            Input = arguments.Input,
            Bytes = _rows[0],
            Scales = _rows[1],
            Cols = arguments.Cols,
            PaddedTokens = 8 * tiles * shares,
        });
        int sharedBytes = sizeof(float) * Warps * 8 * tiles * PackedMatrix.PanelRows * (kind == MatMulResult.SwiGlu ? 2 : 1);
        _stream.Launch(
            _few[(kind, matrix.Format, tiles)], BlocksPerMultiprocessor * _context.Device.Multiprocessors, shares, Threads, sharedBytes, new FewQuantizedArguments
            {
                Weights = matrix.Address,
                Bias = matrix.Bias,
                Input = _rows[0],
                Scales = _rows[1],
                Out = arguments.Out,
                Parts = new PanelParts(matrix.Parts),
                Tokens = arguments.Tokens,
                PaddedTokens = 8 * tiles * shares,
                Cols = arguments.Cols,
                Stride = arguments.Stride,
                Kind = kind switch { MatMulResult.Store => 0, MatMulResult.StoreHalf => 1, MatMulResult.Add => 2, _ => 3 },
                Cap = arguments.Cap,
            });
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _rows.Dispose();
        _copy?.Dispose();
    }

    private static long[] RowSizes(XlstmConfig c)
    {
        long values = Math.Max((long)MaxFew * CudaMatrix.Pad(Math.Max(c.VDim, c.FfnDim)), (long)MaxLogitRows * CudaMatrix.Pad(c.EmbeddingDim));
        return [values * MaxBytesPerValue, values / PackedMatrix.GroupSize * 2 * sizeof(float)];
    }

    private static long CopyBytes(XlstmConfig c)
    {
        long width = CudaMatrix.Pad(c.EmbeddingDim);
        long elements = Math.Max(2 * (c.QkDim + c.VDim) * width, 2 * c.FfnDim * width);
        return sizeof(ushort) * Math.Max(elements, (long)c.EmbeddingDim * Math.Max(CudaMatrix.Pad(c.VDim), CudaMatrix.Pad(c.FfnDim)));
    }
}
