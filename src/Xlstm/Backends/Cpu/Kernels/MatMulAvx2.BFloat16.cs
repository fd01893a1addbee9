// Written by eng/write-matmul-kernels.py.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>bfloat16 panels, widened by a shift: a 32-bit lane holds two columns of its row.</summary>
internal unsafe partial class MatMulAvx2
{
    /// <inheritdoc/>
    public override void BFloat16(in PanelGroup panels, int cols, float* tile, int width, float* result)
    {
        const int Row = GroupPanels * PackedMatrix.PanelRows, WideRow = WidePanels * PackedMatrix.PanelRows;
        switch (width)
        {
            case 1:
                BFloat16Pair2x1(panels.P0, panels.P1, cols, tile, result);
                BFloat16Pair2x1(panels.P2, panels.P3, cols, tile, result + (2 * PackedMatrix.PanelRows));
                break;
            case ActivationTiles.Narrow:
                BFloat16Single1x4(panels.P0, cols, tile, result, Row);
                BFloat16Single1x4(panels.P1, cols, tile, result + PackedMatrix.PanelRows, Row);
                BFloat16Single1x4(panels.P2, cols, tile, result + (2 * PackedMatrix.PanelRows), Row);
                BFloat16Single1x4(panels.P3, cols, tile, result + (3 * PackedMatrix.PanelRows), Row);
                break;
            default:
                for (int t = 0; t < ActivationTiles.Wide; t += WideStep)
                {
                    BFloat16Single1x6(panels.P0, cols, tile + t, result + (t * WideRow));
                    BFloat16Single1x6(panels.P1, cols, tile + t, result + (t * WideRow) + PackedMatrix.PanelRows);
                }

                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BFloat16Pair2x1(byte* panel0, byte* panel1, int cols, float* x, float* result)
    {
        uint* p0 = (uint*)panel0, p1 = (uint*)panel1;
        Vector256<float> a0l_0 = Vector256<float>.Zero, a0h_0 = Vector256<float>.Zero, a1l_0 = Vector256<float>.Zero, a1h_0 = Vector256<float>.Zero;
        Vector256<uint> upperHalf = Vector256.Create(0xFFFF0000u);
        for (int k = 0; k < cols - 1; k += 2)
        {
            Sse.Prefetch0((byte*)p0 + PrefetchBytes);
            Sse.Prefetch0((byte*)p1 + PrefetchBytes);
            Vector256<uint> pair0l = Vector256.Load(p0), pair0h = Vector256.Load(p0 + 8), pair1l = Vector256.Load(p1), pair1h = Vector256.Load(p1 + 8);
            Vector256<float> w0la = (pair0l << 16).AsSingle(), w0ha = (pair0h << 16).AsSingle(), w1la = (pair1l << 16).AsSingle(), w1ha = (pair1h << 16).AsSingle();
            Vector256<float> x0a = Vector256.Create(x[0]);
            a0l_0 = Fma.MultiplyAdd(w0la, x0a, a0l_0);
            a0h_0 = Fma.MultiplyAdd(w0ha, x0a, a0h_0);
            a1l_0 = Fma.MultiplyAdd(w1la, x0a, a1l_0);
            a1h_0 = Fma.MultiplyAdd(w1ha, x0a, a1h_0);
            Vector256<float> w0lb = (pair0l & upperHalf).AsSingle(), w0hb = (pair0h & upperHalf).AsSingle(), w1lb = (pair1l & upperHalf).AsSingle(), w1hb = (pair1h & upperHalf).AsSingle();
            Vector256<float> x0b = Vector256.Create(x[1]);
            a0l_0 = Fma.MultiplyAdd(w0lb, x0b, a0l_0);
            a0h_0 = Fma.MultiplyAdd(w0hb, x0b, a0h_0);
            a1l_0 = Fma.MultiplyAdd(w1lb, x0b, a1l_0);
            a1h_0 = Fma.MultiplyAdd(w1hb, x0b, a1h_0);
            p0 += 16;
            p1 += 16;
            x += 2;
        }

        if (cols % 2 != 0)
        {
            Vector256<float> w0l = (Vector256.Load(p0) << 16).AsSingle(), w0h = (Vector256.Load(p0 + 8) << 16).AsSingle(), w1l = (Vector256.Load(p1) << 16).AsSingle(), w1h = (Vector256.Load(p1 + 8) << 16).AsSingle();
            Vector256<float> x0 = Vector256.Create(x[0]);
            a0l_0 = Fma.MultiplyAdd(w0l, x0, a0l_0);
            a0h_0 = Fma.MultiplyAdd(w0h, x0, a0h_0);
            a1l_0 = Fma.MultiplyAdd(w1l, x0, a1l_0);
            a1h_0 = Fma.MultiplyAdd(w1h, x0, a1h_0);
        }

        a0l_0.Store(result);
        a0h_0.Store(result + 8);
        a1l_0.Store(result + 16);
        a1h_0.Store(result + 24);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BFloat16Single1x4(byte* panel0, int cols, float* x, float* result, int resultStride)
    {
        uint* p0 = (uint*)panel0;
        Vector256<float> a0l_0 = Vector256<float>.Zero, a0h_0 = Vector256<float>.Zero;
        Vector256<float> a0l_1 = Vector256<float>.Zero, a0h_1 = Vector256<float>.Zero;
        Vector256<float> a0l_2 = Vector256<float>.Zero, a0h_2 = Vector256<float>.Zero;
        Vector256<float> a0l_3 = Vector256<float>.Zero, a0h_3 = Vector256<float>.Zero;
        Vector256<uint> upperHalf = Vector256.Create(0xFFFF0000u);
        for (int k = 0; k < cols - 1; k += 2)
        {
            Vector256<uint> pair0l = Vector256.Load(p0), pair0h = Vector256.Load(p0 + 8);
            Vector256<float> w0la = (pair0l << 16).AsSingle(), w0ha = (pair0h << 16).AsSingle();
            Vector256<float> x0a = Vector256.Create(x[0]);
            a0l_0 = Fma.MultiplyAdd(w0la, x0a, a0l_0);
            a0h_0 = Fma.MultiplyAdd(w0ha, x0a, a0h_0);
            Vector256<float> x1a = Vector256.Create(x[1]);
            a0l_1 = Fma.MultiplyAdd(w0la, x1a, a0l_1);
            a0h_1 = Fma.MultiplyAdd(w0ha, x1a, a0h_1);
            Vector256<float> x2a = Vector256.Create(x[2]);
            a0l_2 = Fma.MultiplyAdd(w0la, x2a, a0l_2);
            a0h_2 = Fma.MultiplyAdd(w0ha, x2a, a0h_2);
            Vector256<float> x3a = Vector256.Create(x[3]);
            a0l_3 = Fma.MultiplyAdd(w0la, x3a, a0l_3);
            a0h_3 = Fma.MultiplyAdd(w0ha, x3a, a0h_3);
            Vector256<float> w0lb = (pair0l & upperHalf).AsSingle(), w0hb = (pair0h & upperHalf).AsSingle();
            Vector256<float> x0b = Vector256.Create(x[4]);
            a0l_0 = Fma.MultiplyAdd(w0lb, x0b, a0l_0);
            a0h_0 = Fma.MultiplyAdd(w0hb, x0b, a0h_0);
            Vector256<float> x1b = Vector256.Create(x[5]);
            a0l_1 = Fma.MultiplyAdd(w0lb, x1b, a0l_1);
            a0h_1 = Fma.MultiplyAdd(w0hb, x1b, a0h_1);
            Vector256<float> x2b = Vector256.Create(x[6]);
            a0l_2 = Fma.MultiplyAdd(w0lb, x2b, a0l_2);
            a0h_2 = Fma.MultiplyAdd(w0hb, x2b, a0h_2);
            Vector256<float> x3b = Vector256.Create(x[7]);
            a0l_3 = Fma.MultiplyAdd(w0lb, x3b, a0l_3);
            a0h_3 = Fma.MultiplyAdd(w0hb, x3b, a0h_3);
            p0 += 16;
            x += 8;
        }

        if (cols % 2 != 0)
        {
            Vector256<float> w0l = (Vector256.Load(p0) << 16).AsSingle(), w0h = (Vector256.Load(p0 + 8) << 16).AsSingle();
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
    private static void BFloat16Single1x6(byte* panel0, int cols, float* x, float* result)
    {
        uint* p0 = (uint*)panel0;
        Vector256<float> a0l_0 = Vector256<float>.Zero, a0h_0 = Vector256<float>.Zero;
        Vector256<float> a0l_1 = Vector256<float>.Zero, a0h_1 = Vector256<float>.Zero;
        Vector256<float> a0l_2 = Vector256<float>.Zero, a0h_2 = Vector256<float>.Zero;
        Vector256<float> a0l_3 = Vector256<float>.Zero, a0h_3 = Vector256<float>.Zero;
        Vector256<float> a0l_4 = Vector256<float>.Zero, a0h_4 = Vector256<float>.Zero;
        Vector256<float> a0l_5 = Vector256<float>.Zero, a0h_5 = Vector256<float>.Zero;
        Vector256<uint> upperHalf = Vector256.Create(0xFFFF0000u);
        for (int k = 0; k < cols - 1; k += 2)
        {
            Vector256<uint> pair0l = Vector256.Load(p0), pair0h = Vector256.Load(p0 + 8);
            Vector256<float> w0la = (pair0l << 16).AsSingle(), w0ha = (pair0h << 16).AsSingle();
            Vector256<float> x0a = Vector256.Create(x[0]);
            a0l_0 = Fma.MultiplyAdd(w0la, x0a, a0l_0);
            a0h_0 = Fma.MultiplyAdd(w0ha, x0a, a0h_0);
            Vector256<float> x1a = Vector256.Create(x[1]);
            a0l_1 = Fma.MultiplyAdd(w0la, x1a, a0l_1);
            a0h_1 = Fma.MultiplyAdd(w0ha, x1a, a0h_1);
            Vector256<float> x2a = Vector256.Create(x[2]);
            a0l_2 = Fma.MultiplyAdd(w0la, x2a, a0l_2);
            a0h_2 = Fma.MultiplyAdd(w0ha, x2a, a0h_2);
            Vector256<float> x3a = Vector256.Create(x[3]);
            a0l_3 = Fma.MultiplyAdd(w0la, x3a, a0l_3);
            a0h_3 = Fma.MultiplyAdd(w0ha, x3a, a0h_3);
            Vector256<float> x4a = Vector256.Create(x[4]);
            a0l_4 = Fma.MultiplyAdd(w0la, x4a, a0l_4);
            a0h_4 = Fma.MultiplyAdd(w0ha, x4a, a0h_4);
            Vector256<float> x5a = Vector256.Create(x[5]);
            a0l_5 = Fma.MultiplyAdd(w0la, x5a, a0l_5);
            a0h_5 = Fma.MultiplyAdd(w0ha, x5a, a0h_5);
            Vector256<float> w0lb = (pair0l & upperHalf).AsSingle(), w0hb = (pair0h & upperHalf).AsSingle();
            Vector256<float> x0b = Vector256.Create(x[12]);
            a0l_0 = Fma.MultiplyAdd(w0lb, x0b, a0l_0);
            a0h_0 = Fma.MultiplyAdd(w0hb, x0b, a0h_0);
            Vector256<float> x1b = Vector256.Create(x[13]);
            a0l_1 = Fma.MultiplyAdd(w0lb, x1b, a0l_1);
            a0h_1 = Fma.MultiplyAdd(w0hb, x1b, a0h_1);
            Vector256<float> x2b = Vector256.Create(x[14]);
            a0l_2 = Fma.MultiplyAdd(w0lb, x2b, a0l_2);
            a0h_2 = Fma.MultiplyAdd(w0hb, x2b, a0h_2);
            Vector256<float> x3b = Vector256.Create(x[15]);
            a0l_3 = Fma.MultiplyAdd(w0lb, x3b, a0l_3);
            a0h_3 = Fma.MultiplyAdd(w0hb, x3b, a0h_3);
            Vector256<float> x4b = Vector256.Create(x[16]);
            a0l_4 = Fma.MultiplyAdd(w0lb, x4b, a0l_4);
            a0h_4 = Fma.MultiplyAdd(w0hb, x4b, a0h_4);
            Vector256<float> x5b = Vector256.Create(x[17]);
            a0l_5 = Fma.MultiplyAdd(w0lb, x5b, a0l_5);
            a0h_5 = Fma.MultiplyAdd(w0hb, x5b, a0h_5);
            p0 += 16;
            x += 24;
        }

        if (cols % 2 != 0)
        {
            Vector256<float> w0l = (Vector256.Load(p0) << 16).AsSingle(), w0h = (Vector256.Load(p0 + 8) << 16).AsSingle();
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
