namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>Four panels of one matrix. A kernel that takes fewer uses the first ones; a panel may stand in more than one place.</summary>
internal unsafe struct PanelGroup
{
    public byte* P0;
    public byte* P1;
    public byte* P2;
    public byte* P3;
}

/// <summary>
/// Products of weight panels with activation tiles, one class an instruction set. All of them, and every shape of one, compute
/// each output as <c>acc = 0; for k = 0 .. K-1: acc = fma(w[row, k], x[token, k], acc)</c>: one accumulator an output, K in
/// order (quantized weights: groups of K in order). So prefill, decode, any batch, any number of threads and (where there is a fused multiply-add) any instruction
/// set give the same bits.
/// </summary>
internal abstract unsafe class MatMulKernel
{
    /// <summary>Panels of a group at widths 1 and <see cref="ActivationTiles.Narrow"/>.</summary>
    public const int GroupPanels = 4;

    /// <summary>Panels that a call with a tile of width <see cref="ActivationTiles.Wide"/> takes.</summary>
    public const int WidePanels = 2;

    /// <summary>The kernels of an instruction set.</summary>
    public static MatMulKernel For(CpuInstructionSet set) => set switch
    {
        CpuInstructionSet.Avx512Vnni => new MatMulAvx512Vnni(),
        CpuInstructionSet.Avx512 => new MatMulAvx512(),
        CpuInstructionSet.Avx2Vnni => new MatMulVnni<AvxVnniDotProduct>(),
        CpuInstructionSet.Avx2 => new MatMulAvx2(),
        CpuInstructionSet.AdvSimdDp => new MatMulPortable<ArmDotProduct>(),
        _ => new MatMulPortable<WideningDotProduct>(),
    };

    /// <summary>The form in which this kernel reads activations for weights of a format.</summary>
    public virtual Encodings EncodingOf(WeightFormat format) => format switch
    {
        WeightFormat.Int8 => Encodings.Words,
        WeightFormat.Int4 => Encodings.Bytes,
        _ => Encodings.Float32,
    };

    /// <summary>float32 panels times a tile.</summary>
    /// <param name="panels">Four panels at widths 1 and 4, two at width 12.</param>
    /// <param name="cols">K.</param>
    /// <param name="tile">float32 [K, width].</param>
    /// <param name="width">1, 4 or 12.</param>
    /// <param name="result">float32 [width, panels * 16].</param>
    public abstract void Float32(in PanelGroup panels, int cols, float* tile, int width, float* result);

    /// <summary>bfloat16 panels times a tile; the rest as <see cref="Float32"/>.</summary>
    public abstract void BFloat16(in PanelGroup panels, int cols, float* tile, int width, float* result);

    /// <summary>
    /// int8 panels times a tile of <see cref="QuantizedTiles"/>: per group of 32 columns an exact integer sum, then
    /// <c>acc = fma(sum, weight scale * activation scale, acc)</c>, groups in order.
    /// </summary>
    /// <param name="panels">Four panels at widths 1 and 4, two at width 12.</param>
    /// <param name="groups">Groups of a row; even.</param>
    /// <param name="tile">The activations, encoded as <see cref="EncodingOf"/> says.</param>
    /// <param name="width">1, 4 or 12.</param>
    /// <param name="result">float32 [width, panels * 16].</param>
    public abstract void Int8(in PanelGroup panels, int groups, byte* tile, int width, float* result);

    /// <summary>
    /// int4 panels times a tile: as <see cref="Int8"/>, and per group <c>acc = fma(-minimum, sum of the group's activations, acc)</c>
    /// after it.
    /// </summary>
    public abstract void Int4(in PanelGroup panels, int groups, byte* tile, int width, float* result);
}
