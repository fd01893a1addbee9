using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>The kernels for a device and a weight format, compiled by its driver.</summary>
internal sealed class KernelSet : IDisposable
{
    private static readonly string[] FewKinds = ["store", "store_half", "add", "swiglu", "cap"];

    private readonly List<CudaModule> _modules = [];
    private readonly CudaContext _context;
    private readonly CudaModule? _stream;

    /// <param name="context">Where; current on the calling thread.</param>
    /// <param name="format">How the matrices are held.</param>
    /// <param name="state">How C is held.</param>
    public KernelSet(CudaContext context, WeightFormat format, StateFormat state)
    {
        _context = context;
        string suffix = format == WeightFormat.Float32 ? "_f32" : "_bf16";
        string stateSuffix = state == StateFormat.Float32 ? "_c32" : "_c16";
        try
        {
            CudaModule step = Module("step"), rows = Module("rows"), matmul = Module("matmul" + suffix), cellStep = Module("cell_step"), cellRows = Module("cell_rows");
            Embed = rows.Kernel("embed" + suffix);
            NormRows = rows.Kernel("norm_rows" + suffix);
            NormFew = rows.Kernel("norm_few" + suffix);
            HeadRows = rows.Kernel("head_rows" + suffix);
            StepQkvo = step.Kernel("step_qkvo" + suffix);
            StepOut = step.Kernel("step_out" + suffix);
            StepUp = step.Kernel("step_up" + suffix);
            StepDown = step.Kernel("step_down" + suffix);
            StepLogits = step.Kernel("step_logits" + suffix);
            StepLogitsPlain = step.Kernel("step_logits_plain" + suffix);
            CellStep = cellStep.Kernel("cell_step" + stateSuffix);
            MatMulStore = matmul.Kernel("matmul_store" + suffix);
            MatMulAdd = matmul.Kernel("matmul_add" + suffix);
            MatMulSwiGlu = matmul.Kernel("matmul_swiglu" + suffix);
            MatMulCap = matmul.Kernel("matmul_cap" + suffix);
            if (format == WeightFormat.BFloat16 && context.Device.Capability >= 90)
            {
                _stream = Load("stream_hopper.sm_90", startsEarly: true);
            }

            if (format == WeightFormat.BFloat16 && context.Device.Capability >= 90)
            {
                CudaModule cell = Load("cell_hopper.sm_90", startsEarly: true);
                CellStream = cell.Kernel("cell_stream" + stateSuffix);
            }

            if (format == WeightFormat.BFloat16 && context.Device.Capability == 90)
            {
                CudaModule wgmma = Load("matmul_wgmma.sm_90a", startsEarly: true);
                WgmmaStore = wgmma.Kernel("wgmma_store");
                WgmmaStoreHalf = wgmma.Kernel("wgmma_store_half");
                WgmmaAdd = wgmma.Kernel("wgmma_add");
                WgmmaSwiGlu = wgmma.Kernel("wgmma_swiglu");
            }

            if (format == WeightFormat.BFloat16)
            {
                CudaModule chunks = Module("cell_chunks");
                CudaModule few = Module("matmul_few_bf16");
                Few = [.. FewKinds.Select(kind => few.Kernel($"matmul_few_{kind}_bf16"))];
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

    public CudaKernel StepQkvo { get; }

    public CudaKernel StepOut { get; }

    public CudaKernel StepUp { get; }

    public CudaKernel StepDown { get; }

    public CudaKernel StepLogits { get; }

    public CudaKernel StepLogitsPlain { get; }

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

    /// <summary>Products on Hopper's tensor cores; null elsewhere, as are the next three.</summary>
    public CudaKernel? WgmmaStore { get; }

    public CudaKernel? WgmmaStoreHalf { get; }

    public CudaKernel? WgmmaAdd { get; }

    public CudaKernel? WgmmaSwiGlu { get; }

    /// <summary>What the driver's compiler says of registers and spills.</summary>
    public string Log => string.Join('\n', _modules.Select(module => module.Log));

    /// <summary>A kernel of stream_hopper.cu; null where the device or the format has none.</summary>
    /// <param name="name">"stream_up".</param>
    /// <param name="vectors">Vectors a thread, one of those it is compiled for.</param>
    public CudaKernel? Stream(string name, int vectors)
    {
        CudaKernel? kernel = _stream?.Kernel($"{name}_{vectors}");
        kernel?.PreferShared();
        return kernel;
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
