using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>
/// 128-bit vectors of any machine: a panel's 16 rows are four vectors, a to d. Fused where the machine fuses (Arm), else multiply then add.
/// Floats one token at a time; quantized weights in one file a format.
/// </summary>
/// <typeparam name="TDot">The dot product of bytes.</typeparam>
internal sealed unsafe partial class MatMulPortable<TDot> : MatMulKernel
    where TDot : struct, IDotProduct128
{
    // Tokens of a wide tile that Arm's 32 registers have accumulators for.
    private const int WideStep = 6;

    /// <inheritdoc/>
    public override Encodings EncodingOf(WeightFormat format) => format is WeightFormat.Int8 or WeightFormat.Int4 ? Encodings.Bytes : Encodings.Float32;

    /// <inheritdoc/>
    public override void Float32(in PanelGroup panels, int cols, float* tile, int width, float* result)
    {
        int count = width == ActivationTiles.Wide ? WidePanels : GroupPanels;
        for (int token = 0; token < width; token++)
        {
            for (int panel = 0; panel < count; panel++)
            {
                Float32Panel((float*)Select(panels, panel), cols, tile + token, width, result + (((token * count) + panel) * PackedMatrix.PanelRows));
            }
        }
    }

    /// <inheritdoc/>
    public override void BFloat16(in PanelGroup panels, int cols, float* tile, int width, float* result)
    {
        int count = width == ActivationTiles.Wide ? WidePanels : GroupPanels;
        for (int token = 0; token < width; token++)
        {
            for (int panel = 0; panel < count; panel++)
            {
                BFloat16Panel((uint*)Select(panels, panel), cols, tile + token, width, result + (((token * count) + panel) * PackedMatrix.PanelRows));
            }
        }
    }

    private static byte* Select(in PanelGroup panels, int panel) => panel switch
    {
        0 => panels.P0,
        1 => panels.P1,
        2 => panels.P2,
        _ => panels.P3,
    };

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Float32Panel(float* p, int cols, float* x, int width, float* result)
    {
        Vector128<float> a0 = default, a1 = default, a2 = default, a3 = default;
        for (int k = 0; k < cols; k++)
        {
            Vector128<float> xk = Vector128.Create(*x);
            a0 = Vector128.MultiplyAddEstimate(Vector128.Load(p), xk, a0);
            a1 = Vector128.MultiplyAddEstimate(Vector128.Load(p + 4), xk, a1);
            a2 = Vector128.MultiplyAddEstimate(Vector128.Load(p + 8), xk, a2);
            a3 = Vector128.MultiplyAddEstimate(Vector128.Load(p + 12), xk, a3);
            p += PackedMatrix.PanelRows;
            x += width;
        }

        Store(result, a0, a1, a2, a3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BFloat16Panel(uint* p, int cols, float* x, int width, float* result)
    {
        Vector128<uint> upperHalf = Vector128.Create(0xFFFF0000u);
        Vector128<float> a0 = default, a1 = default, a2 = default, a3 = default;
        for (int k = 0; k < cols; k++)
        {
            Vector128<uint> w0 = Vector128.Load(p), w1 = Vector128.Load(p + 4), w2 = Vector128.Load(p + 8), w3 = Vector128.Load(p + 12);
            if (k % 2 == 0)
            {
                (w0, w1, w2, w3) = (w0 << 16, w1 << 16, w2 << 16, w3 << 16);
            }
            else
            {
                (w0, w1, w2, w3) = (w0 & upperHalf, w1 & upperHalf, w2 & upperHalf, w3 & upperHalf);
                p += PackedMatrix.PanelRows;
            }

            Vector128<float> xk = Vector128.Create(*x);
            a0 = Vector128.MultiplyAddEstimate(w0.AsSingle(), xk, a0);
            a1 = Vector128.MultiplyAddEstimate(w1.AsSingle(), xk, a1);
            a2 = Vector128.MultiplyAddEstimate(w2.AsSingle(), xk, a2);
            a3 = Vector128.MultiplyAddEstimate(w3.AsSingle(), xk, a3);
            x += width;
        }

        Store(result, a0, a1, a2, a3);
    }

    private static void Store(float* result, Vector128<float> a0, Vector128<float> a1, Vector128<float> a2, Vector128<float> a3)
    {
        a0.Store(result);
        a1.Store(result + 4);
        a2.Store(result + 8);
        a3.Store(result + 12);
    }
}
