// Written by eng/write-matmul-kernels.py.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>float32 panels.</summary>
internal unsafe partial class MatMulAvx512
{
    /// <inheritdoc/>
    public override void Float32(in PanelGroup panels, int cols, float* tile, int width, float* result)
    {
        switch (width)
        {
            case 1:
                Float32Group4x1(panels, cols, tile, result);
                break;
            case ActivationTiles.Narrow:
                Float32Group4x4(panels, cols, tile, result);
                break;
            default:
                Float32Pair2x12(panels, cols, tile, result);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Float32Group4x1(in PanelGroup panels, int cols, float* x, float* result)
    {
        float* p0 = (float*)panels.P0, p1 = (float*)panels.P1, p2 = (float*)panels.P2, p3 = (float*)panels.P3;
        Vector512<float> a0_0 = Vector512<float>.Zero, a1_0 = Vector512<float>.Zero, a2_0 = Vector512<float>.Zero, a3_0 = Vector512<float>.Zero;
        for (int k = 0; k < cols; k++)
        {
            Sse.Prefetch0((byte*)p0 + PrefetchBytes);
            Sse.Prefetch0((byte*)p1 + PrefetchBytes);
            Sse.Prefetch0((byte*)p2 + PrefetchBytes);
            Sse.Prefetch0((byte*)p3 + PrefetchBytes);
            Vector512<float> w0 = Vector512.Load(p0), w1 = Vector512.Load(p1), w2 = Vector512.Load(p2), w3 = Vector512.Load(p3);
            Vector512<float> x0 = Vector512.Create(x[0]);
            a0_0 = Avx512F.FusedMultiplyAdd(w0, x0, a0_0);
            a1_0 = Avx512F.FusedMultiplyAdd(w1, x0, a1_0);
            a2_0 = Avx512F.FusedMultiplyAdd(w2, x0, a2_0);
            a3_0 = Avx512F.FusedMultiplyAdd(w3, x0, a3_0);
            p0 += 16;
            p1 += 16;
            p2 += 16;
            p3 += 16;
            x += 1;
        }

        a0_0.Store(result);
        a1_0.Store(result + 16);
        a2_0.Store(result + 32);
        a3_0.Store(result + 48);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Float32Group4x4(in PanelGroup panels, int cols, float* x, float* result)
    {
        float* p0 = (float*)panels.P0, p1 = (float*)panels.P1, p2 = (float*)panels.P2, p3 = (float*)panels.P3;
        Vector512<float> a0_0 = Vector512<float>.Zero, a1_0 = Vector512<float>.Zero, a2_0 = Vector512<float>.Zero, a3_0 = Vector512<float>.Zero;
        Vector512<float> a0_1 = Vector512<float>.Zero, a1_1 = Vector512<float>.Zero, a2_1 = Vector512<float>.Zero, a3_1 = Vector512<float>.Zero;
        Vector512<float> a0_2 = Vector512<float>.Zero, a1_2 = Vector512<float>.Zero, a2_2 = Vector512<float>.Zero, a3_2 = Vector512<float>.Zero;
        Vector512<float> a0_3 = Vector512<float>.Zero, a1_3 = Vector512<float>.Zero, a2_3 = Vector512<float>.Zero, a3_3 = Vector512<float>.Zero;
        for (int k = 0; k < cols; k++)
        {
            Vector512<float> w0 = Vector512.Load(p0), w1 = Vector512.Load(p1), w2 = Vector512.Load(p2), w3 = Vector512.Load(p3);
            Vector512<float> x0 = Vector512.Create(x[0]);
            a0_0 = Avx512F.FusedMultiplyAdd(w0, x0, a0_0);
            a1_0 = Avx512F.FusedMultiplyAdd(w1, x0, a1_0);
            a2_0 = Avx512F.FusedMultiplyAdd(w2, x0, a2_0);
            a3_0 = Avx512F.FusedMultiplyAdd(w3, x0, a3_0);
            Vector512<float> x1 = Vector512.Create(x[1]);
            a0_1 = Avx512F.FusedMultiplyAdd(w0, x1, a0_1);
            a1_1 = Avx512F.FusedMultiplyAdd(w1, x1, a1_1);
            a2_1 = Avx512F.FusedMultiplyAdd(w2, x1, a2_1);
            a3_1 = Avx512F.FusedMultiplyAdd(w3, x1, a3_1);
            Vector512<float> x2 = Vector512.Create(x[2]);
            a0_2 = Avx512F.FusedMultiplyAdd(w0, x2, a0_2);
            a1_2 = Avx512F.FusedMultiplyAdd(w1, x2, a1_2);
            a2_2 = Avx512F.FusedMultiplyAdd(w2, x2, a2_2);
            a3_2 = Avx512F.FusedMultiplyAdd(w3, x2, a3_2);
            Vector512<float> x3 = Vector512.Create(x[3]);
            a0_3 = Avx512F.FusedMultiplyAdd(w0, x3, a0_3);
            a1_3 = Avx512F.FusedMultiplyAdd(w1, x3, a1_3);
            a2_3 = Avx512F.FusedMultiplyAdd(w2, x3, a2_3);
            a3_3 = Avx512F.FusedMultiplyAdd(w3, x3, a3_3);
            p0 += 16;
            p1 += 16;
            p2 += 16;
            p3 += 16;
            x += 4;
        }

        a0_0.Store(result);
        a1_0.Store(result + 16);
        a2_0.Store(result + 32);
        a3_0.Store(result + 48);
        a0_1.Store(result + 64);
        a1_1.Store(result + 80);
        a2_1.Store(result + 96);
        a3_1.Store(result + 112);
        a0_2.Store(result + 128);
        a1_2.Store(result + 144);
        a2_2.Store(result + 160);
        a3_2.Store(result + 176);
        a0_3.Store(result + 192);
        a1_3.Store(result + 208);
        a2_3.Store(result + 224);
        a3_3.Store(result + 240);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Float32Pair2x12(in PanelGroup panels, int cols, float* x, float* result)
    {
        float* p0 = (float*)panels.P0, p1 = (float*)panels.P1;
        Vector512<float> a0_0 = Vector512<float>.Zero, a1_0 = Vector512<float>.Zero;
        Vector512<float> a0_1 = Vector512<float>.Zero, a1_1 = Vector512<float>.Zero;
        Vector512<float> a0_2 = Vector512<float>.Zero, a1_2 = Vector512<float>.Zero;
        Vector512<float> a0_3 = Vector512<float>.Zero, a1_3 = Vector512<float>.Zero;
        Vector512<float> a0_4 = Vector512<float>.Zero, a1_4 = Vector512<float>.Zero;
        Vector512<float> a0_5 = Vector512<float>.Zero, a1_5 = Vector512<float>.Zero;
        Vector512<float> a0_6 = Vector512<float>.Zero, a1_6 = Vector512<float>.Zero;
        Vector512<float> a0_7 = Vector512<float>.Zero, a1_7 = Vector512<float>.Zero;
        Vector512<float> a0_8 = Vector512<float>.Zero, a1_8 = Vector512<float>.Zero;
        Vector512<float> a0_9 = Vector512<float>.Zero, a1_9 = Vector512<float>.Zero;
        Vector512<float> a0_10 = Vector512<float>.Zero, a1_10 = Vector512<float>.Zero;
        Vector512<float> a0_11 = Vector512<float>.Zero, a1_11 = Vector512<float>.Zero;
        for (int k = 0; k < cols; k++)
        {
            Vector512<float> w0 = Vector512.Load(p0), w1 = Vector512.Load(p1);
            Vector512<float> x0 = Vector512.Create(x[0]);
            a0_0 = Avx512F.FusedMultiplyAdd(w0, x0, a0_0);
            a1_0 = Avx512F.FusedMultiplyAdd(w1, x0, a1_0);
            Vector512<float> x1 = Vector512.Create(x[1]);
            a0_1 = Avx512F.FusedMultiplyAdd(w0, x1, a0_1);
            a1_1 = Avx512F.FusedMultiplyAdd(w1, x1, a1_1);
            Vector512<float> x2 = Vector512.Create(x[2]);
            a0_2 = Avx512F.FusedMultiplyAdd(w0, x2, a0_2);
            a1_2 = Avx512F.FusedMultiplyAdd(w1, x2, a1_2);
            Vector512<float> x3 = Vector512.Create(x[3]);
            a0_3 = Avx512F.FusedMultiplyAdd(w0, x3, a0_3);
            a1_3 = Avx512F.FusedMultiplyAdd(w1, x3, a1_3);
            Vector512<float> x4 = Vector512.Create(x[4]);
            a0_4 = Avx512F.FusedMultiplyAdd(w0, x4, a0_4);
            a1_4 = Avx512F.FusedMultiplyAdd(w1, x4, a1_4);
            Vector512<float> x5 = Vector512.Create(x[5]);
            a0_5 = Avx512F.FusedMultiplyAdd(w0, x5, a0_5);
            a1_5 = Avx512F.FusedMultiplyAdd(w1, x5, a1_5);
            Vector512<float> x6 = Vector512.Create(x[6]);
            a0_6 = Avx512F.FusedMultiplyAdd(w0, x6, a0_6);
            a1_6 = Avx512F.FusedMultiplyAdd(w1, x6, a1_6);
            Vector512<float> x7 = Vector512.Create(x[7]);
            a0_7 = Avx512F.FusedMultiplyAdd(w0, x7, a0_7);
            a1_7 = Avx512F.FusedMultiplyAdd(w1, x7, a1_7);
            Vector512<float> x8 = Vector512.Create(x[8]);
            a0_8 = Avx512F.FusedMultiplyAdd(w0, x8, a0_8);
            a1_8 = Avx512F.FusedMultiplyAdd(w1, x8, a1_8);
            Vector512<float> x9 = Vector512.Create(x[9]);
            a0_9 = Avx512F.FusedMultiplyAdd(w0, x9, a0_9);
            a1_9 = Avx512F.FusedMultiplyAdd(w1, x9, a1_9);
            Vector512<float> x10 = Vector512.Create(x[10]);
            a0_10 = Avx512F.FusedMultiplyAdd(w0, x10, a0_10);
            a1_10 = Avx512F.FusedMultiplyAdd(w1, x10, a1_10);
            Vector512<float> x11 = Vector512.Create(x[11]);
            a0_11 = Avx512F.FusedMultiplyAdd(w0, x11, a0_11);
            a1_11 = Avx512F.FusedMultiplyAdd(w1, x11, a1_11);
            p0 += 16;
            p1 += 16;
            x += 12;
        }

        a0_0.Store(result);
        a1_0.Store(result + 16);
        a0_1.Store(result + 32);
        a1_1.Store(result + 48);
        a0_2.Store(result + 64);
        a1_2.Store(result + 80);
        a0_3.Store(result + 96);
        a1_3.Store(result + 112);
        a0_4.Store(result + 128);
        a1_4.Store(result + 144);
        a0_5.Store(result + 160);
        a1_5.Store(result + 176);
        a0_6.Store(result + 192);
        a1_6.Store(result + 208);
        a0_7.Store(result + 224);
        a1_7.Store(result + 240);
        a0_8.Store(result + 256);
        a1_8.Store(result + 272);
        a0_9.Store(result + 288);
        a1_9.Store(result + 304);
        a0_10.Store(result + 320);
        a1_10.Store(result + 336);
        a0_11.Store(result + 352);
        a1_11.Store(result + 368);
    }
}
