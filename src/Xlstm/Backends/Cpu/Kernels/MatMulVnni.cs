namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>
/// Quantized weights by 256-bit dot products of unsigned with signed bytes; a panel's 16 rows are two vectors, l and h. Nibbles are unsigned; int8
/// weights are made so by adding 128, and 128 times the activations' sum is what accumulators start below zero with. One file a weight format.
/// </summary>
/// <typeparam name="TDot">The dot product.</typeparam>
/// <param name="floats">The kernels for float32 and bfloat16.</param>
internal sealed unsafe partial class MatMulVnni<TDot>(MatMulKernel floats) : MatMulKernel
    where TDot : struct, IDotProduct256
{
    // Far enough ahead to hide DRAM's latency behind four streams.
    private const int PrefetchBytes = 2048;

    // Tokens of a wide tile that sixteen registers have accumulators for.
    private const int WideStep = 6;

    /// <inheritdoc/>
    public override Encodings EncodingOf(WeightFormat format) => format is WeightFormat.Int8 or WeightFormat.Int4 ? Encodings.Bytes : Encodings.Float32;

    /// <inheritdoc/>
    public override void Float32(in PanelGroup panels, int cols, float* tile, int width, float* result) => floats.Float32(panels, cols, tile, width, result);

    /// <inheritdoc/>
    public override void BFloat16(in PanelGroup panels, int cols, float* tile, int width, float* result) => floats.BFloat16(panels, cols, tile, width, result);
}
