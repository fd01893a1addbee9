namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>
/// AVX-VNNI beside AVX2: quantized weights by 256-bit dot products of unsigned with signed bytes. Nibbles are unsigned; int8 weights are made so by
/// adding 128, and accumulators start 128 times the activations' sum below. They start as the bits of 1.5 * 2^23, so that a float32
/// subtraction turns them into floats: it runs where dot products and fused multiply-adds do not.
/// </summary>
/// <typeparam name="TDot">The dot product.</typeparam>
internal sealed unsafe partial class MatMulVnni<TDot> : MatMulAvx2
    where TDot : struct, IDotProduct256
{
    /// <inheritdoc/>
    public override Encodings EncodingOf(WeightFormat format) => format == WeightFormat.Int8 ? Encodings.Bytes : base.EncodingOf(format);
}

/// <summary>
/// AVX-VNNI beside AVX-512, for int8 alone: with int4, 512-bit products of bytes, which take two instructions, are faster than 256-bit dot
/// products, which take one.
/// </summary>
internal sealed unsafe class MatMulAvx512Vnni : MatMulAvx512
{
    private readonly MatMulVnni<AvxVnniDotProduct> _vnni = new();

    /// <inheritdoc/>
    public override Encodings EncodingOf(WeightFormat format) => _vnni.EncodingOf(format);

    /// <inheritdoc/>
    public override void Int8(in PanelGroup panels, int groups, byte* tile, int width, float* result) => _vnni.Int8(panels, groups, tile, width, result);
}
