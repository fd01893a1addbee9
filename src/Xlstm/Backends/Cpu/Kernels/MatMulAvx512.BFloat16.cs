// Written by eng/write-matmul-kernels.py.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>bfloat16 panels, widened by a shift: a 32-bit lane holds two columns of its row.</summary>
internal unsafe partial class MatMulAvx512
{
    /// <inheritdoc/>
    public override void BFloat16(in PanelGroup panels, int cols, float* tile, int width, float* result)
    {
        switch (width)
        {
            case 1:
                BFloat16Group4x1(panels, cols, tile, result);
                break;
            case ActivationTiles.Narrow:
                BFloat16Group4x4(panels, cols, tile, result);
                break;
            default:
                BFloat16Pair2x12(panels, cols, tile, result);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BFloat16Group4x1(in PanelGroup panels, int cols, float* x, float* result)
    {
        uint* p0 = (uint*)panels.P0, p1 = (uint*)panels.P1, p2 = (uint*)panels.P2, p3 = (uint*)panels.P3;
        Vector512<float> a0_0 = Vector512<float>.Zero, a1_0 = Vector512<float>.Zero, a2_0 = Vector512<float>.Zero, a3_0 = Vector512<float>.Zero;
        Vector512<uint> upperHalf = Vector512.Create(0xFFFF0000u);
        for (int k = 0; k < cols - 1; k += 2)
        {
            Sse.Prefetch0((byte*)p0 + PrefetchBytes);
            Sse.Prefetch0((byte*)p1 + PrefetchBytes);
            Sse.Prefetch0((byte*)p2 + PrefetchBytes);
            Sse.Prefetch0((byte*)p3 + PrefetchBytes);
            Vector512<uint> pair0 = Vector512.Load(p0), pair1 = Vector512.Load(p1), pair2 = Vector512.Load(p2), pair3 = Vector512.Load(p3);
            Vector512<float> w0a = (pair0 << 16).AsSingle(), w1a = (pair1 << 16).AsSingle(), w2a = (pair2 << 16).AsSingle(), w3a = (pair3 << 16).AsSingle();
            Vector512<float> x0a = Vector512.Create(x[0]);
            a0_0 = Avx512F.FusedMultiplyAdd(w0a, x0a, a0_0);
            a1_0 = Avx512F.FusedMultiplyAdd(w1a, x0a, a1_0);
            a2_0 = Avx512F.FusedMultiplyAdd(w2a, x0a, a2_0);
            a3_0 = Avx512F.FusedMultiplyAdd(w3a, x0a, a3_0);
            Vector512<float> w0b = (pair0 & upperHalf).AsSingle(), w1b = (pair1 & upperHalf).AsSingle(), w2b = (pair2 & upperHalf).AsSingle(), w3b = (pair3 & upperHalf).AsSingle();
            Vector512<float> x0b = Vector512.Create(x[1]);
            a0_0 = Avx512F.FusedMultiplyAdd(w0b, x0b, a0_0);
            a1_0 = Avx512F.FusedMultiplyAdd(w1b, x0b, a1_0);
            a2_0 = Avx512F.FusedMultiplyAdd(w2b, x0b, a2_0);
            a3_0 = Avx512F.FusedMultiplyAdd(w3b, x0b, a3_0);
            p0 += 16;
            p1 += 16;
            p2 += 16;
            p3 += 16;
            x += 2;
        }

        if (cols % 2 != 0)
        {
            Vector512<float> w0 = (Vector512.Load(p0) << 16).AsSingle(), w1 = (Vector512.Load(p1) << 16).AsSingle(), w2 = (Vector512.Load(p2) << 16).AsSingle(), w3 = (Vector512.Load(p3) << 16).AsSingle();
            Vector512<float> x0 = Vector512.Create(x[0]);
            a0_0 = Avx512F.FusedMultiplyAdd(w0, x0, a0_0);
            a1_0 = Avx512F.FusedMultiplyAdd(w1, x0, a1_0);
            a2_0 = Avx512F.FusedMultiplyAdd(w2, x0, a2_0);
            a3_0 = Avx512F.FusedMultiplyAdd(w3, x0, a3_0);
        }

        a0_0.Store(result);
        a1_0.Store(result + 16);
        a2_0.Store(result + 32);
        a3_0.Store(result + 48);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BFloat16Group4x4(in PanelGroup panels, int cols, float* x, float* result)
    {
        uint* p0 = (uint*)panels.P0, p1 = (uint*)panels.P1, p2 = (uint*)panels.P2, p3 = (uint*)panels.P3;
        Vector512<float> a0_0 = Vector512<float>.Zero, a1_0 = Vector512<float>.Zero, a2_0 = Vector512<float>.Zero, a3_0 = Vector512<float>.Zero;
        Vector512<float> a0_1 = Vector512<float>.Zero, a1_1 = Vector512<float>.Zero, a2_1 = Vector512<float>.Zero, a3_1 = Vector512<float>.Zero;
        Vector512<float> a0_2 = Vector512<float>.Zero, a1_2 = Vector512<float>.Zero, a2_2 = Vector512<float>.Zero, a3_2 = Vector512<float>.Zero;
        Vector512<float> a0_3 = Vector512<float>.Zero, a1_3 = Vector512<float>.Zero, a2_3 = Vector512<float>.Zero, a3_3 = Vector512<float>.Zero;
        Vector512<uint> upperHalf = Vector512.Create(0xFFFF0000u);
        for (int k = 0; k < cols - 1; k += 2)
        {
            Vector512<uint> pair0 = Vector512.Load(p0), pair1 = Vector512.Load(p1), pair2 = Vector512.Load(p2), pair3 = Vector512.Load(p3);
            Vector512<float> w0a = (pair0 << 16).AsSingle(), w1a = (pair1 << 16).AsSingle(), w2a = (pair2 << 16).AsSingle(), w3a = (pair3 << 16).AsSingle();
            Vector512<float> x0a = Vector512.Create(x[0]);
            a0_0 = Avx512F.FusedMultiplyAdd(w0a, x0a, a0_0);
            a1_0 = Avx512F.FusedMultiplyAdd(w1a, x0a, a1_0);
            a2_0 = Avx512F.FusedMultiplyAdd(w2a, x0a, a2_0);
            a3_0 = Avx512F.FusedMultiplyAdd(w3a, x0a, a3_0);
            Vector512<float> x1a = Vector512.Create(x[1]);
            a0_1 = Avx512F.FusedMultiplyAdd(w0a, x1a, a0_1);
            a1_1 = Avx512F.FusedMultiplyAdd(w1a, x1a, a1_1);
            a2_1 = Avx512F.FusedMultiplyAdd(w2a, x1a, a2_1);
            a3_1 = Avx512F.FusedMultiplyAdd(w3a, x1a, a3_1);
            Vector512<float> x2a = Vector512.Create(x[2]);
            a0_2 = Avx512F.FusedMultiplyAdd(w0a, x2a, a0_2);
            a1_2 = Avx512F.FusedMultiplyAdd(w1a, x2a, a1_2);
            a2_2 = Avx512F.FusedMultiplyAdd(w2a, x2a, a2_2);
            a3_2 = Avx512F.FusedMultiplyAdd(w3a, x2a, a3_2);
            Vector512<float> x3a = Vector512.Create(x[3]);
            a0_3 = Avx512F.FusedMultiplyAdd(w0a, x3a, a0_3);
            a1_3 = Avx512F.FusedMultiplyAdd(w1a, x3a, a1_3);
            a2_3 = Avx512F.FusedMultiplyAdd(w2a, x3a, a2_3);
            a3_3 = Avx512F.FusedMultiplyAdd(w3a, x3a, a3_3);
            Vector512<float> w0b = (pair0 & upperHalf).AsSingle(), w1b = (pair1 & upperHalf).AsSingle(), w2b = (pair2 & upperHalf).AsSingle(), w3b = (pair3 & upperHalf).AsSingle();
            Vector512<float> x0b = Vector512.Create(x[4]);
            a0_0 = Avx512F.FusedMultiplyAdd(w0b, x0b, a0_0);
            a1_0 = Avx512F.FusedMultiplyAdd(w1b, x0b, a1_0);
            a2_0 = Avx512F.FusedMultiplyAdd(w2b, x0b, a2_0);
            a3_0 = Avx512F.FusedMultiplyAdd(w3b, x0b, a3_0);
            Vector512<float> x1b = Vector512.Create(x[5]);
            a0_1 = Avx512F.FusedMultiplyAdd(w0b, x1b, a0_1);
            a1_1 = Avx512F.FusedMultiplyAdd(w1b, x1b, a1_1);
            a2_1 = Avx512F.FusedMultiplyAdd(w2b, x1b, a2_1);
            a3_1 = Avx512F.FusedMultiplyAdd(w3b, x1b, a3_1);
            Vector512<float> x2b = Vector512.Create(x[6]);
            a0_2 = Avx512F.FusedMultiplyAdd(w0b, x2b, a0_2);
            a1_2 = Avx512F.FusedMultiplyAdd(w1b, x2b, a1_2);
            a2_2 = Avx512F.FusedMultiplyAdd(w2b, x2b, a2_2);
            a3_2 = Avx512F.FusedMultiplyAdd(w3b, x2b, a3_2);
            Vector512<float> x3b = Vector512.Create(x[7]);
            a0_3 = Avx512F.FusedMultiplyAdd(w0b, x3b, a0_3);
            a1_3 = Avx512F.FusedMultiplyAdd(w1b, x3b, a1_3);
            a2_3 = Avx512F.FusedMultiplyAdd(w2b, x3b, a2_3);
            a3_3 = Avx512F.FusedMultiplyAdd(w3b, x3b, a3_3);
            p0 += 16;
            p1 += 16;
            p2 += 16;
            p3 += 16;
            x += 8;
        }

        if (cols % 2 != 0)
        {
            Vector512<float> w0 = (Vector512.Load(p0) << 16).AsSingle(), w1 = (Vector512.Load(p1) << 16).AsSingle(), w2 = (Vector512.Load(p2) << 16).AsSingle(), w3 = (Vector512.Load(p3) << 16).AsSingle();
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
    private static void BFloat16Pair2x12(in PanelGroup panels, int cols, float* x, float* result)
    {
        uint* p0 = (uint*)panels.P0, p1 = (uint*)panels.P1;
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
        Vector512<uint> upperHalf = Vector512.Create(0xFFFF0000u);
        for (int k = 0; k < cols - 1; k += 2)
        {
            Vector512<uint> pair0 = Vector512.Load(p0), pair1 = Vector512.Load(p1);
            Vector512<float> w0a = (pair0 << 16).AsSingle(), w1a = (pair1 << 16).AsSingle();
            Vector512<float> x0a = Vector512.Create(x[0]);
            a0_0 = Avx512F.FusedMultiplyAdd(w0a, x0a, a0_0);
            a1_0 = Avx512F.FusedMultiplyAdd(w1a, x0a, a1_0);
            Vector512<float> x1a = Vector512.Create(x[1]);
            a0_1 = Avx512F.FusedMultiplyAdd(w0a, x1a, a0_1);
            a1_1 = Avx512F.FusedMultiplyAdd(w1a, x1a, a1_1);
            Vector512<float> x2a = Vector512.Create(x[2]);
            a0_2 = Avx512F.FusedMultiplyAdd(w0a, x2a, a0_2);
            a1_2 = Avx512F.FusedMultiplyAdd(w1a, x2a, a1_2);
            Vector512<float> x3a = Vector512.Create(x[3]);
            a0_3 = Avx512F.FusedMultiplyAdd(w0a, x3a, a0_3);
            a1_3 = Avx512F.FusedMultiplyAdd(w1a, x3a, a1_3);
            Vector512<float> x4a = Vector512.Create(x[4]);
            a0_4 = Avx512F.FusedMultiplyAdd(w0a, x4a, a0_4);
            a1_4 = Avx512F.FusedMultiplyAdd(w1a, x4a, a1_4);
            Vector512<float> x5a = Vector512.Create(x[5]);
            a0_5 = Avx512F.FusedMultiplyAdd(w0a, x5a, a0_5);
            a1_5 = Avx512F.FusedMultiplyAdd(w1a, x5a, a1_5);
            Vector512<float> x6a = Vector512.Create(x[6]);
            a0_6 = Avx512F.FusedMultiplyAdd(w0a, x6a, a0_6);
            a1_6 = Avx512F.FusedMultiplyAdd(w1a, x6a, a1_6);
            Vector512<float> x7a = Vector512.Create(x[7]);
            a0_7 = Avx512F.FusedMultiplyAdd(w0a, x7a, a0_7);
            a1_7 = Avx512F.FusedMultiplyAdd(w1a, x7a, a1_7);
            Vector512<float> x8a = Vector512.Create(x[8]);
            a0_8 = Avx512F.FusedMultiplyAdd(w0a, x8a, a0_8);
            a1_8 = Avx512F.FusedMultiplyAdd(w1a, x8a, a1_8);
            Vector512<float> x9a = Vector512.Create(x[9]);
            a0_9 = Avx512F.FusedMultiplyAdd(w0a, x9a, a0_9);
            a1_9 = Avx512F.FusedMultiplyAdd(w1a, x9a, a1_9);
            Vector512<float> x10a = Vector512.Create(x[10]);
            a0_10 = Avx512F.FusedMultiplyAdd(w0a, x10a, a0_10);
            a1_10 = Avx512F.FusedMultiplyAdd(w1a, x10a, a1_10);
            Vector512<float> x11a = Vector512.Create(x[11]);
            a0_11 = Avx512F.FusedMultiplyAdd(w0a, x11a, a0_11);
            a1_11 = Avx512F.FusedMultiplyAdd(w1a, x11a, a1_11);
            Vector512<float> w0b = (pair0 & upperHalf).AsSingle(), w1b = (pair1 & upperHalf).AsSingle();
            Vector512<float> x0b = Vector512.Create(x[12]);
            a0_0 = Avx512F.FusedMultiplyAdd(w0b, x0b, a0_0);
            a1_0 = Avx512F.FusedMultiplyAdd(w1b, x0b, a1_0);
            Vector512<float> x1b = Vector512.Create(x[13]);
            a0_1 = Avx512F.FusedMultiplyAdd(w0b, x1b, a0_1);
            a1_1 = Avx512F.FusedMultiplyAdd(w1b, x1b, a1_1);
            Vector512<float> x2b = Vector512.Create(x[14]);
            a0_2 = Avx512F.FusedMultiplyAdd(w0b, x2b, a0_2);
            a1_2 = Avx512F.FusedMultiplyAdd(w1b, x2b, a1_2);
            Vector512<float> x3b = Vector512.Create(x[15]);
            a0_3 = Avx512F.FusedMultiplyAdd(w0b, x3b, a0_3);
            a1_3 = Avx512F.FusedMultiplyAdd(w1b, x3b, a1_3);
            Vector512<float> x4b = Vector512.Create(x[16]);
            a0_4 = Avx512F.FusedMultiplyAdd(w0b, x4b, a0_4);
            a1_4 = Avx512F.FusedMultiplyAdd(w1b, x4b, a1_4);
            Vector512<float> x5b = Vector512.Create(x[17]);
            a0_5 = Avx512F.FusedMultiplyAdd(w0b, x5b, a0_5);
            a1_5 = Avx512F.FusedMultiplyAdd(w1b, x5b, a1_5);
            Vector512<float> x6b = Vector512.Create(x[18]);
            a0_6 = Avx512F.FusedMultiplyAdd(w0b, x6b, a0_6);
            a1_6 = Avx512F.FusedMultiplyAdd(w1b, x6b, a1_6);
            Vector512<float> x7b = Vector512.Create(x[19]);
            a0_7 = Avx512F.FusedMultiplyAdd(w0b, x7b, a0_7);
            a1_7 = Avx512F.FusedMultiplyAdd(w1b, x7b, a1_7);
            Vector512<float> x8b = Vector512.Create(x[20]);
            a0_8 = Avx512F.FusedMultiplyAdd(w0b, x8b, a0_8);
            a1_8 = Avx512F.FusedMultiplyAdd(w1b, x8b, a1_8);
            Vector512<float> x9b = Vector512.Create(x[21]);
            a0_9 = Avx512F.FusedMultiplyAdd(w0b, x9b, a0_9);
            a1_9 = Avx512F.FusedMultiplyAdd(w1b, x9b, a1_9);
            Vector512<float> x10b = Vector512.Create(x[22]);
            a0_10 = Avx512F.FusedMultiplyAdd(w0b, x10b, a0_10);
            a1_10 = Avx512F.FusedMultiplyAdd(w1b, x10b, a1_10);
            Vector512<float> x11b = Vector512.Create(x[23]);
            a0_11 = Avx512F.FusedMultiplyAdd(w0b, x11b, a0_11);
            a1_11 = Avx512F.FusedMultiplyAdd(w1b, x11b, a1_11);
            p0 += 16;
            p1 += 16;
            x += 24;
        }

        if (cols % 2 != 0)
        {
            Vector512<float> w0 = (Vector512.Load(p0) << 16).AsSingle(), w1 = (Vector512.Load(p1) << 16).AsSingle();
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
