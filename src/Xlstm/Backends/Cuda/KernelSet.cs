using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>The kernels for a device and a weight format, compiled by its driver.</summary>
internal sealed class KernelSet : IDisposable
{
    private static readonly string[] FewKinds = ["store", "store_half", "add", "swiglu", "cap"];

    private readonly List<CudaModule> _modules = [];
    private readonly CudaContext _context;
    private readonly CudaModule _step;
    private readonly CudaModule? _stream;
    private readonly CudaModule? _fewQuantized;

    /// <param name="context">Where; current on the calling thread.</param>
    /// <param name="format">How the matrices are held.</param>
    /// <param name="state">How C is held.</param>
    public KernelSet(CudaContext context, WeightFormat format, StateFormat state)
    {
        _context = context;
        bool quantized = format is WeightFormat.Int8 or WeightFormat.Int4;

        // What is not a product with weights has bfloat16 for its inputs and outputs where weights are smaller.
        string suffix = format == WeightFormat.Float32 ? "_f32" : "_bf16";
        string stateSuffix = state == StateFormat.Float32 ? "_c32" : "_c16";
        try
        {
            CudaModule rows = Module("rows"), matmul = Module("matmul" + suffix), cellStep = Module("cell_step"), cellRows = Module("cell_rows");
            _step = Module(quantized ? "step_quantized" : "step");
            if (quantized)
            {
                CudaModule convert = Module("convert");
                Embed = convert.Kernel("embed_int8");
                DequantizeInt8 = convert.Kernel("dequantize_int8");
                DequantizeInt4 = convert.Kernel("dequantize_int4");
                _fewQuantized = Module("matmul_few_quantized");
                QuantizeRows = _fewQuantized.Kernel("quantize_rows_int8");
                QuantizeRowsFinely = _fewQuantized.Kernel("quantize_rows_int16");
            }
            else
            {
                Embed = rows.Kernel("embed" + suffix);
            }

            NormRows = rows.Kernel("norm_rows" + suffix);
            NormFew = rows.Kernel("norm_few" + suffix);
            HeadRows = rows.Kernel("head_rows" + suffix);
            CellStep = cellStep.Kernel("cell_step" + stateSuffix);
            MatMulStore = matmul.Kernel("matmul_store" + suffix);
            MatMulAdd = matmul.Kernel("matmul_add" + suffix);
            MatMulSwiGlu = matmul.Kernel("matmul_swiglu" + suffix);
            MatMulCap = matmul.Kernel("matmul_cap" + suffix);
            if (format != WeightFormat.Float32 && context.Device.Capability >= 90)
            {
                _stream = Load(quantized ? "stream_quantized_hopper.sm_90" : "stream_hopper.sm_90", startsEarly: true);
                CudaModule cell = Load("cell_hopper.sm_90", startsEarly: true);
                CellStream = cell.Kernel("cell_stream" + stateSuffix);
            }

            if (format != WeightFormat.Float32 && context.Device.Capability == 90)
            {
                CudaModule wgmma = Load("matmul_wgmma.sm_90a", startsEarly: true);
                WgmmaStore = wgmma.Kernel("wgmma_store");
                WgmmaStoreHalf = wgmma.Kernel("wgmma_store_half");
                WgmmaAdd = wgmma.Kernel("wgmma_add");
                WgmmaSwiGlu = wgmma.Kernel("wgmma_swiglu");
            }

            if (format == WeightFormat.BFloat16)
            {
                CudaModule few = Module("matmul_few_bf16");
                Few = [.. FewKinds.Select(kind => few.Kernel($"matmul_few_{kind}_bf16"))];
            }

            if (format != WeightFormat.Float32)
            {
                CudaModule chunks = Module("cell_chunks");
                CellScores = chunks.Kernel("cell_scores");
                CellScan128 = chunks.Kernel("cell_scan_128" + stateSuffix);
                CellScan256 = chunks.Kernel("cell_scan_256" + stateSuffix);
                MatMulStoreHalf = matmul.Kernel("matmul_store_half_bf16");
                HeadRowsHalf = rows.Kernel("head_rows_half_bf16");
            }

            Shortlist = Module("shortlist").Kernel("shortlist");
            Embed.PreferShared();
            Shortlist.PreferShared();
            NormFew.PreferShared();
            CellStep.PreferShared();
            CellRows = cellRows.Kernel((format == WeightFormat.Float32 ? "cell_rows_exact" : "cell_rows_tf32") + stateSuffix);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public CudaKernel Embed { get; }

    public CudaKernel NormRows { get; }

    public CudaKernel NormFew { get; }

    public CudaKernel HeadRows { get; }

    public CudaKernel CellStep { get; }

    public CudaKernel CellRows { get; }

    public CudaKernel Shortlist { get; }

    public CudaKernel MatMulStore { get; }

    public CudaKernel MatMulAdd { get; }

    public CudaKernel MatMulSwiGlu { get; }

    public CudaKernel MatMulCap { get; }

    /// <summary>The cell's step through the copy engine, with what follows it; null where the device or the format has none.</summary>
    public CudaKernel? CellStream { get; }

    /// <summary>The cell in bfloat16 products; null for float32 weights, as is what reads and writes q, k, v, o in bfloat16.</summary>
    public CudaKernel? CellScores { get; }

    /// <summary>For heads of dqk 128.</summary>
    public CudaKernel? CellScan128 { get; }

    /// <summary>For heads of dqk 256.</summary>
    public CudaKernel? CellScan256 { get; }

    public CudaKernel? MatMulStoreHalf { get; }

    /// <summary>Products over a few rows, by <see cref="MatMulResult"/>; null for float32 weights.</summary>
    public CudaKernel[]? Few { get; }

    public CudaKernel? HeadRowsHalf { get; }

    /// <summary>Panels to rows of bfloat16; null where weights are not quantized, as is the next.</summary>
    public CudaKernel? DequantizeInt8 { get; }

    public CudaKernel? DequantizeInt4 { get; }

    /// <summary>Rows of bfloat16 to 8 bits; null where weights are not quantized, as is the next.</summary>
    public CudaKernel? QuantizeRows { get; }

    /// <summary>And to 16.</summary>
    public CudaKernel? QuantizeRowsFinely { get; }

    /// <summary>Products on Hopper's tensor cores; null elsewhere, as are the next three.</summary>
    public CudaKernel? WgmmaStore { get; }

    public CudaKernel? WgmmaStoreHalf { get; }

    public CudaKernel? WgmmaAdd { get; }

    public CudaKernel? WgmmaSwiGlu { get; }

    /// <summary>What the driver's compiler says of registers and spills.</summary>
    public string Log => string.Join('\n', _modules.Select(module => module.Log));

    /// <summary>A product of a step, for every device and size.</summary>
    /// <param name="name">"up".</param>
    /// <param name="format">Of the matrix.</param>
    public CudaKernel Step(string name, WeightFormat format) => _step.Kernel($"step_{name}{Suffix(format)}");

    /// <summary>The same through the copy engine; null where the device or the format has none.</summary>
    /// <param name="name">"up".</param>
    /// <param name="format">Of the matrix.</param>
    /// <param name="vectors">Vectors a thread, one of those it is compiled for.</param>
    public CudaKernel? Stream(string name, WeightFormat format, int vectors)
    {
        CudaKernel? kernel = _stream?.Kernel($"stream_{name}{(format == WeightFormat.BFloat16 ? "" : Suffix(format))}_{vectors}");
        kernel?.PreferShared();
        return kernel;
    }

    /// <summary>A product of a few rows with a quantized matrix.</summary>
    /// <param name="format">Of the matrix.</param>
    /// <param name="tiles">Eights of rows: 1, 2 or 4.</param>
    /// <param name="kind">What becomes of the sums.</param>
    public CudaKernel FewQuantized(WeightFormat format, int tiles, MatMulResult kind)
    {
        string of = kind switch { MatMulResult.SwiGlu => "_swiglu", MatMulResult.Add or MatMulResult.Cap => "_fine", _ => "" };
        return _fewQuantized!.Kernel($"matmul_few{of}{Suffix(format)}_{tiles}");
    }

    /// <summary>Products over up to so many rows on Hopper's tensor cores, by <see cref="MatMulResult"/>; compiled now.</summary>
    /// <param name="tokens">One of those there is a file for.</param>
    public CudaKernel[] LoadFew(int tokens)
    {
        CudaModule few = Load($"matmul_few{tokens}_wgmma.sm_90a", startsEarly: true);
        return [.. FewKinds.Select(kind => few.Kernel($"few_{kind}_{tokens}"))];
    }

    /// <inheritdoc/>
    public void Dispose() => _modules.ForEach(module => module.Dispose());

    private static string Suffix(WeightFormat format) => format switch
    {
        WeightFormat.Float32 => "_f32",
        WeightFormat.BFloat16 => "_bf16",
        WeightFormat.Int8 => "_int8",
        _ => "_int4",
    };

    /// <summary>Loads the newest build of a file of kernels that the device runs.</summary>
    private CudaModule Module(string name)
    {
        bool startsEarly = _context.Device.Capability >= 90;
        return Load(name + (startsEarly ? ".sm_90" : ".sm_80"), startsEarly);
    }

    private CudaModule Load(string name, bool startsEarly)
    {
        var module = new CudaModule(_context, name, startsEarly);
        _modules.Add(module);
        return module;
    }
}
