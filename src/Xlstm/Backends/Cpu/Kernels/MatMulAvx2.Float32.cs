// Written by eng/write-matmul-kernels.py.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>float32 panels.</summary>
internal unsafe partial class MatMulAvx2
{
    /// <inheritdoc/>
    public override void Float32(in PanelGroup panels, int cols, float* tile, int width, float* result)
    {
        const int Row = GroupPanels * PackedMatrix.PanelRows, WideRow = WidePanels * PackedMatrix.PanelRows;
        switch (width)
        {
            case 1:
                Float32Pair2x1(panels.P0, panels.P1, cols, tile, result);
                Float32Pair2x1(panels.P2, panels.P3, cols, tile, result + (2 * PackedMatrix.PanelRows));
                break;
            case ActivationTiles.Narrow:
                Float32Single1x4(panels.P0, cols, tile, result, Row);
                Float32Single1x4(panels.P1, cols, tile, result + PackedMatrix.PanelRows, Row);
                Float32Single1x4(panels.P2, cols, tile, result + (2 * PackedMatrix.PanelRows), Row);
                Float32Single1x4(panels.P3, cols, tile, result + (3 * PackedMatrix.PanelRows), Row);
                break;
            default:
                for (int t = 0; t < ActivationTiles.Wide; t += WideStep)
                {
                    Float32Single1x6(panels.P0, cols, tile + t, result + (t * WideRow));
                    Float32Single1x6(panels.P1, cols, tile + t, result + (t * WideRow) + PackedMatrix.PanelRows);
                }

                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Float32Pair2x1(byte* panel0, byte* panel1, int cols, float* x, float* result)
    {
        float* p0 = (float*)panel0, p1 = (float*)panel1;
        Vector256<float> a0l_0 = Vector256<float>.Zero, a0h_0 = Vector256<float>.Zero, a1l_0 = Vector256<float>.Zero, a1h_0 = Vector256<float>.Zero;
        for (int k = 0; k < cols; k++)
        {
            Sse.Prefetch0((byte*)p0 + PrefetchBytes);
            Sse.Prefetch0((byte*)p1 + PrefetchBytes);
            Vector256<float> w0l = Vector256.Load(p0), w0h = Vector256.Load(p0 + 8), w1l = Vector256.Load(p1), w1h = Vector256.Load(p1 + 8);
            Vector256<float> x0 = Vector256.Create(x[0]);
            a0l_0 = Fma.MultiplyAdd(w0l, x0, a0l_0);
            a0h_0 = Fma.MultiplyAdd(w0h, x0, a0h_0);
            a1l_0 = Fma.MultiplyAdd(w1l, x0, a1l_0);
            a1h_0 = Fma.MultiplyAdd(w1h, x0, a1h_0);
            p0 += 16;
            p1 += 16;
            x += 1;
        }

        a0l_0.Store(result);
        a0h_0.Store(result + 8);
        a1l_0.Store(result + 16);
        a1h_0.Store(result + 24);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Float32Single1x4(byte* panel0, int cols, float* x, float* result, int resultStride)
    {
        float* p0 = (float*)panel0;
        Vector256<float> a0l_0 = Vector256<float>.Zero, a0h_0 = Vector256<float>.Zero;
        Vector256<float> a0l_1 = Vector256<float>.Zero, a0h_1 = Vector256<float>.Zero;
        Vector256<float> a0l_2 = Vector256<float>.Zero, a0h_2 = Vector256<float>.Zero;
        Vector256<float> a0l_3 = Vector256<float>.Zero, a0h_3 = Vector256<float>.Zero;
        for (int k = 0; k < cols; k++)
        {
            Vector256<float> w0l = Vector256.Load(p0), w0h = Vector256.Load(p0 + 8);
            Vector256<float> x0 = Vector256.Create(x[0]);
            a0l_0 = Fma.MultiplyAdd(w0l, x0, a0l_0);
            a0h_0 = Fma.MultiplyAdd(w0h, x0, a0h_0);
            Vector256<float> x1 = Vector256.Create(x[1]);
            a0l_1 = Fma.MultiplyAdd(w0l, x1, a0l_1);
            a0h_1 = Fma.MultiplyAdd(w0h, x1, a0h_1);
            Vector256<float> x2 = Vector256.Create(x[2]);
            a0l_2 = Fma.MultiplyAdd(w0l, x2, a0l_2);
            a0h_2 = Fma.MultiplyAdd(w0h, x2, a0h_2);
            Vector256<float> x3 = Vector256.Create(x[3]);
            a0l_3 = Fma.MultiplyAdd(w0l, x3, a0l_3);
            a0h_3 = Fma.MultiplyAdd(w0h, x3, a0h_3);
            p0 += 16;
            x += 4;
        }

        a0l_0.Store(result);
        a0h_0.Store(result + 8);
        a0l_1.Store(result + resultStride);
        a0h_1.Store(result + resultStride + 8);
        a0l_2.Store(result + (2 * resultStride));
        a0h_2.Store(result + (2 * resultStride) + 8);
        a0l_3.Store(result + (3 * resultStride));
        a0h_3.Store(result + (3 * resultStride) + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Float32Single1x6(byte* panel0, int cols, float* x, float* result)
    {
        float* p0 = (float*)panel0;
        Vector256<float> a0l_0 = Vector256<float>.Zero, a0h_0 = Vector256<float>.Zero;
        Vector256<float> a0l_1 = Vector256<float>.Zero, a0h_1 = Vector256<float>.Zero;
        Vector256<float> a0l_2 = Vector256<float>.Zero, a0h_2 = Vector256<float>.Zero;
        Vector256<float> a0l_3 = Vector256<float>.Zero, a0h_3 = Vector256<float>.Zero;
        Vector256<float> a0l_4 = Vector256<float>.Zero, a0h_4 = Vector256<float>.Zero;
        Vector256<float> a0l_5 = Vector256<float>.Zero, a0h_5 = Vector256<float>.Zero;
        for (int k = 0; k < cols; k++)
        {
            Vector256<float> w0l = Vector256.Load(p0), w0h = Vector256.Load(p0 + 8);
            Vector256<float> x0 = Vector256.Create(x[0]);
            a0l_0 = Fma.MultiplyAdd(w0l, x0, a0l_0);
            a0h_0 = Fma.MultiplyAdd(w0h, x0, a0h_0);
            Vector256<float> x1 = Vector256.Create(x[1]);
            a0l_1 = Fma.MultiplyAdd(w0l, x1, a0l_1);
            a0h_1 = Fma.MultiplyAdd(w0h, x1, a0h_1);
            Vector256<float> x2 = Vector256.Create(x[2]);
            a0l_2 = Fma.MultiplyAdd(w0l, x2, a0l_2);
            a0h_2 = Fma.MultiplyAdd(w0h, x2, a0h_2);
            Vector256<float> x3 = Vector256.Create(x[3]);
            a0l_3 = Fma.MultiplyAdd(w0l, x3, a0l_3);
            a0h_3 = Fma.MultiplyAdd(w0h, x3, a0h_3);
            Vector256<float> x4 = Vector256.Create(x[4]);
            a0l_4 = Fma.MultiplyAdd(w0l, x4, a0l_4);
            a0h_4 = Fma.MultiplyAdd(w0h, x4, a0h_4);
            Vector256<float> x5 = Vector256.Create(x[5]);
            a0l_5 = Fma.MultiplyAdd(w0l, x5, a0l_5);
            a0h_5 = Fma.MultiplyAdd(w0h, x5, a0h_5);
            p0 += 16;
            x += 12;
        }

        a0l_0.Store(result);
        a0h_0.Store(result + 8);
        a0l_1.Store(result + 32);
        a0h_1.Store(result + 40);
        a0l_2.Store(result + 64);
        a0h_2.Store(result + 72);
        a0l_3.Store(result + 96);
        a0h_3.Store(result + 104);
        a0l_4.Store(result + 128);
        a0h_4.Store(result + 136);
        a0l_5.Store(result + 160);
        a0h_5.Store(result + 168);
    }
}
