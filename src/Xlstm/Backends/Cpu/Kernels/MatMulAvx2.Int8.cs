// Written by eng/write-matmul-kernels.py.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>int8 panels: weights widened to 16 bits, columns in pairs (0, 2) and (1, 3) of each four because two shifts make those.</summary>
internal unsafe partial class MatMulAvx2
{
    /// <inheritdoc/>
    public override void Int8(in PanelGroup panels, int groups, byte* tile, int width, float* result)
    {
        const int Row = GroupPanels * PackedMatrix.PanelRows, WideRow = WidePanels * PackedMatrix.PanelRows;
        switch (width)
        {
            case 1:
                Int8Pair2x1(panels.P0, panels.P1, groups, tile, result);
                Int8Pair2x1(panels.P2, panels.P3, groups, tile, result + (2 * PackedMatrix.PanelRows));
                break;
            case ActivationTiles.Narrow:
                Int8Single1x4(panels.P0, groups, tile, result, Row);
                Int8Single1x4(panels.P1, groups, tile, result + PackedMatrix.PanelRows, Row);
                Int8Single1x4(panels.P2, groups, tile, result + (2 * PackedMatrix.PanelRows), Row);
                Int8Single1x4(panels.P3, groups, tile, result + (3 * PackedMatrix.PanelRows), Row);
                break;
            default:
                for (int t = 0; t < ActivationTiles.Wide; t += WideStep)
                {
                    Int8Single1x6(panels.P0, groups, tile + (t * sizeof(int)), result + (t * WideRow));
                    Int8Single1x6(panels.P1, groups, tile + (t * sizeof(int)), result + (t * WideRow) + PackedMatrix.PanelRows);
                }

                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Int8Pair2x1(byte* panel0, byte* panel1, int groups, byte* tile, float* result)
    {
        byte* p0 = panel0, p1 = panel1;
        Vector256<float>.Zero.Store(result);
        Vector256<float>.Zero.Store(result + 8);
        Vector256<float>.Zero.Store(result + 16);
        Vector256<float>.Zero.Store(result + 24);

        for (int group = 0; group < groups; group++)
        {
            // A pair of groups shares one cache line of scales, at the front.
            int odd = group & 1;
            Vector256<float> s0l = (Avx2.ConvertToVector256Int32(Vector128.Load((ushort*)(p0 + (odd * 32)))) << 16).AsSingle(), s0h = (Avx2.ConvertToVector256Int32(Vector128.Load((ushort*)(p0 + (odd * 32) + 16))) << 16).AsSingle(), s1l = (Avx2.ConvertToVector256Int32(Vector128.Load((ushort*)(p1 + (odd * 32)))) << 16).AsSingle(), s1h = (Avx2.ConvertToVector256Int32(Vector128.Load((ushort*)(p1 + (odd * 32) + 16))) << 16).AsSingle();
            byte* w0 = p0 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int8GroupBytes), w1 = p1 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int8GroupBytes);
            int* x = (int*)(tile + (QuantizedTiles.WordsHeader * 1));
            Vector256<int> a0l_0 = Vector256<int>.Zero, a0h_0 = Vector256<int>.Zero, a1l_0 = Vector256<int>.Zero, a1h_0 = Vector256<int>.Zero;
            for (int step = 0; step < 8; step++)
            {
                Sse.Prefetch0(w0 + PrefetchBytes);
                Sse.Prefetch0(w1 + PrefetchBytes);
                Vector256<short> q0l = Vector256.Load(w0).AsInt16(), q0h = Vector256.Load(w0 + 32).AsInt16(), q1l = Vector256.Load(w1).AsInt16(), q1h = Vector256.Load(w1 + 32).AsInt16();
                Vector256<short> even0l = (q0l << 8) >> 8, even0h = (q0h << 8) >> 8, even1l = (q1l << 8) >> 8, even1h = (q1h << 8) >> 8;
                Vector256<short> odd0l = q0l >> 8, odd0h = q0h >> 8, odd1l = q1l >> 8, odd1h = q1h >> 8;
                Vector256<short> x0a = Vector256.Create(x[0]).AsInt16();
                Vector256<int> y0l_0a = Avx2.MultiplyAddAdjacent(even0l, x0a), y0h_0a = Avx2.MultiplyAddAdjacent(even0h, x0a), y1l_0a = Avx2.MultiplyAddAdjacent(even1l, x0a), y1h_0a = Avx2.MultiplyAddAdjacent(even1h, x0a);
                a0l_0 += y0l_0a;
                a0h_0 += y0h_0a;
                a1l_0 += y1l_0a;
                a1h_0 += y1h_0a;
                Vector256<short> x0b = Vector256.Create(x[1]).AsInt16();
                Vector256<int> y0l_0b = Avx2.MultiplyAddAdjacent(odd0l, x0b), y0h_0b = Avx2.MultiplyAddAdjacent(odd0h, x0b), y1l_0b = Avx2.MultiplyAddAdjacent(odd1l, x0b), y1h_0b = Avx2.MultiplyAddAdjacent(odd1h, x0b);
                a0l_0 += y0l_0b;
                a0h_0 += y0h_0b;
                a1l_0 += y1l_0b;
                a1h_0 += y1h_0b;
                w0 += 64;
                w1 += 64;
                x += 2;
            }

            float* xScale = (float*)tile;
            Vector256<float> scale0 = Vector256.Create(xScale[0]);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0l_0), s0l * scale0, Vector256.Load(result)).Store(result);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0h_0), s0h * scale0, Vector256.Load(result + 8)).Store(result + 8);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a1l_0), s1l * scale0, Vector256.Load(result + 16)).Store(result + 16);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a1h_0), s1h * scale0, Vector256.Load(result + 24)).Store(result + 24);
            tile += QuantizedTiles.WordsGroupBytes * 1;
            if (odd != 0)
            {
                p0 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int8GroupBytes);
                p1 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int8GroupBytes);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Int8Single1x4(byte* panel0, int groups, byte* tile, float* result, int resultStride)
    {
        byte* p0 = panel0;
        Vector256<float>.Zero.Store(result);
        Vector256<float>.Zero.Store(result + 8);
        Vector256<float>.Zero.Store(result + resultStride);
        Vector256<float>.Zero.Store(result + resultStride + 8);
        Vector256<float>.Zero.Store(result + (2 * resultStride));
        Vector256<float>.Zero.Store(result + (2 * resultStride) + 8);
        Vector256<float>.Zero.Store(result + (3 * resultStride));
        Vector256<float>.Zero.Store(result + (3 * resultStride) + 8);

        for (int group = 0; group < groups; group++)
        {
            // A pair of groups shares one cache line of scales, at the front.
            int odd = group & 1;
            Vector256<float> s0l = (Avx2.ConvertToVector256Int32(Vector128.Load((ushort*)(p0 + (odd * 32)))) << 16).AsSingle(), s0h = (Avx2.ConvertToVector256Int32(Vector128.Load((ushort*)(p0 + (odd * 32) + 16))) << 16).AsSingle();
            byte* w0 = p0 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int8GroupBytes);
            int* x = (int*)(tile + (QuantizedTiles.WordsHeader * 4));
            Vector256<int> a0l_0 = Vector256<int>.Zero, a0h_0 = Vector256<int>.Zero;
            Vector256<int> a0l_1 = Vector256<int>.Zero, a0h_1 = Vector256<int>.Zero;
            Vector256<int> a0l_2 = Vector256<int>.Zero, a0h_2 = Vector256<int>.Zero;
            Vector256<int> a0l_3 = Vector256<int>.Zero, a0h_3 = Vector256<int>.Zero;
            for (int step = 0; step < 8; step++)
            {
                Vector256<short> q0l = Vector256.Load(w0).AsInt16(), q0h = Vector256.Load(w0 + 32).AsInt16();
                Vector256<short> even0l = (q0l << 8) >> 8, even0h = (q0h << 8) >> 8;
                Vector256<short> odd0l = q0l >> 8, odd0h = q0h >> 8;
                Vector256<short> x0a = Vector256.Create(x[0]).AsInt16();
                Vector256<int> y0l_0a = Avx2.MultiplyAddAdjacent(even0l, x0a), y0h_0a = Avx2.MultiplyAddAdjacent(even0h, x0a);
                a0l_0 += y0l_0a;
                a0h_0 += y0h_0a;
                Vector256<short> x1a = Vector256.Create(x[1]).AsInt16();
                Vector256<int> y0l_1a = Avx2.MultiplyAddAdjacent(even0l, x1a), y0h_1a = Avx2.MultiplyAddAdjacent(even0h, x1a);
                a0l_1 += y0l_1a;
                a0h_1 += y0h_1a;
                Vector256<short> x2a = Vector256.Create(x[2]).AsInt16();
                Vector256<int> y0l_2a = Avx2.MultiplyAddAdjacent(even0l, x2a), y0h_2a = Avx2.MultiplyAddAdjacent(even0h, x2a);
                a0l_2 += y0l_2a;
                a0h_2 += y0h_2a;
                Vector256<short> x3a = Vector256.Create(x[3]).AsInt16();
                Vector256<int> y0l_3a = Avx2.MultiplyAddAdjacent(even0l, x3a), y0h_3a = Avx2.MultiplyAddAdjacent(even0h, x3a);
                a0l_3 += y0l_3a;
                a0h_3 += y0h_3a;
                Vector256<short> x0b = Vector256.Create(x[4]).AsInt16();
                Vector256<int> y0l_0b = Avx2.MultiplyAddAdjacent(odd0l, x0b), y0h_0b = Avx2.MultiplyAddAdjacent(odd0h, x0b);
                a0l_0 += y0l_0b;
                a0h_0 += y0h_0b;
                Vector256<short> x1b = Vector256.Create(x[5]).AsInt16();
                Vector256<int> y0l_1b = Avx2.MultiplyAddAdjacent(odd0l, x1b), y0h_1b = Avx2.MultiplyAddAdjacent(odd0h, x1b);
                a0l_1 += y0l_1b;
                a0h_1 += y0h_1b;
                Vector256<short> x2b = Vector256.Create(x[6]).AsInt16();
                Vector256<int> y0l_2b = Avx2.MultiplyAddAdjacent(odd0l, x2b), y0h_2b = Avx2.MultiplyAddAdjacent(odd0h, x2b);
                a0l_2 += y0l_2b;
                a0h_2 += y0h_2b;
                Vector256<short> x3b = Vector256.Create(x[7]).AsInt16();
                Vector256<int> y0l_3b = Avx2.MultiplyAddAdjacent(odd0l, x3b), y0h_3b = Avx2.MultiplyAddAdjacent(odd0h, x3b);
                a0l_3 += y0l_3b;
                a0h_3 += y0h_3b;
                w0 += 64;
                x += 8;
            }

            float* xScale = (float*)tile;
            Vector256<float> scale0 = Vector256.Create(xScale[0]);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0l_0), s0l * scale0, Vector256.Load(result)).Store(result);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0h_0), s0h * scale0, Vector256.Load(result + 8)).Store(result + 8);
            Vector256<float> scale1 = Vector256.Create(xScale[1]);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0l_1), s0l * scale1, Vector256.Load(result + resultStride)).Store(result + resultStride);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0h_1), s0h * scale1, Vector256.Load(result + resultStride + 8)).Store(result + resultStride + 8);
            Vector256<float> scale2 = Vector256.Create(xScale[2]);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0l_2), s0l * scale2, Vector256.Load(result + (2 * resultStride))).Store(result + (2 * resultStride));
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0h_2), s0h * scale2, Vector256.Load(result + (2 * resultStride) + 8)).Store(result + (2 * resultStride) + 8);
            Vector256<float> scale3 = Vector256.Create(xScale[3]);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0l_3), s0l * scale3, Vector256.Load(result + (3 * resultStride))).Store(result + (3 * resultStride));
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0h_3), s0h * scale3, Vector256.Load(result + (3 * resultStride) + 8)).Store(result + (3 * resultStride) + 8);
            tile += QuantizedTiles.WordsGroupBytes * 4;
            if (odd != 0)
            {
                p0 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int8GroupBytes);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Int8Single1x6(byte* panel0, int groups, byte* tile, float* result)
    {
        byte* p0 = panel0;
        Vector256<float>.Zero.Store(result);
        Vector256<float>.Zero.Store(result + 8);
        Vector256<float>.Zero.Store(result + 32);
        Vector256<float>.Zero.Store(result + 40);
        Vector256<float>.Zero.Store(result + 64);
        Vector256<float>.Zero.Store(result + 72);
        Vector256<float>.Zero.Store(result + 96);
        Vector256<float>.Zero.Store(result + 104);
        Vector256<float>.Zero.Store(result + 128);
        Vector256<float>.Zero.Store(result + 136);
        Vector256<float>.Zero.Store(result + 160);
        Vector256<float>.Zero.Store(result + 168);

        for (int group = 0; group < groups; group++)
        {
            // A pair of groups shares one cache line of scales, at the front.
            int odd = group & 1;
            Vector256<float> s0l = (Avx2.ConvertToVector256Int32(Vector128.Load((ushort*)(p0 + (odd * 32)))) << 16).AsSingle(), s0h = (Avx2.ConvertToVector256Int32(Vector128.Load((ushort*)(p0 + (odd * 32) + 16))) << 16).AsSingle();
            byte* w0 = p0 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int8GroupBytes);
            int* x = (int*)(tile + (QuantizedTiles.WordsHeader * 12));
            Vector256<int> a0l_0 = Vector256<int>.Zero, a0h_0 = Vector256<int>.Zero;
            Vector256<int> a0l_1 = Vector256<int>.Zero, a0h_1 = Vector256<int>.Zero;
            Vector256<int> a0l_2 = Vector256<int>.Zero, a0h_2 = Vector256<int>.Zero;
            Vector256<int> a0l_3 = Vector256<int>.Zero, a0h_3 = Vector256<int>.Zero;
            Vector256<int> a0l_4 = Vector256<int>.Zero, a0h_4 = Vector256<int>.Zero;
            Vector256<int> a0l_5 = Vector256<int>.Zero, a0h_5 = Vector256<int>.Zero;
            for (int step = 0; step < 8; step++)
            {
                Vector256<short> q0l = Vector256.Load(w0).AsInt16(), q0h = Vector256.Load(w0 + 32).AsInt16();
                Vector256<short> even0l = (q0l << 8) >> 8, even0h = (q0h << 8) >> 8;
                Vector256<short> odd0l = q0l >> 8, odd0h = q0h >> 8;
                Vector256<short> x0a = Vector256.Create(x[0]).AsInt16();
                Vector256<int> y0l_0a = Avx2.MultiplyAddAdjacent(even0l, x0a), y0h_0a = Avx2.MultiplyAddAdjacent(even0h, x0a);
                a0l_0 += y0l_0a;
                a0h_0 += y0h_0a;
                Vector256<short> x1a = Vector256.Create(x[1]).AsInt16();
                Vector256<int> y0l_1a = Avx2.MultiplyAddAdjacent(even0l, x1a), y0h_1a = Avx2.MultiplyAddAdjacent(even0h, x1a);
                a0l_1 += y0l_1a;
                a0h_1 += y0h_1a;
                Vector256<short> x2a = Vector256.Create(x[2]).AsInt16();
                Vector256<int> y0l_2a = Avx2.MultiplyAddAdjacent(even0l, x2a), y0h_2a = Avx2.MultiplyAddAdjacent(even0h, x2a);
                a0l_2 += y0l_2a;
                a0h_2 += y0h_2a;
                Vector256<short> x3a = Vector256.Create(x[3]).AsInt16();
                Vector256<int> y0l_3a = Avx2.MultiplyAddAdjacent(even0l, x3a), y0h_3a = Avx2.MultiplyAddAdjacent(even0h, x3a);
                a0l_3 += y0l_3a;
                a0h_3 += y0h_3a;
                Vector256<short> x4a = Vector256.Create(x[4]).AsInt16();
                Vector256<int> y0l_4a = Avx2.MultiplyAddAdjacent(even0l, x4a), y0h_4a = Avx2.MultiplyAddAdjacent(even0h, x4a);
                a0l_4 += y0l_4a;
                a0h_4 += y0h_4a;
                Vector256<short> x5a = Vector256.Create(x[5]).AsInt16();
                Vector256<int> y0l_5a = Avx2.MultiplyAddAdjacent(even0l, x5a), y0h_5a = Avx2.MultiplyAddAdjacent(even0h, x5a);
                a0l_5 += y0l_5a;
                a0h_5 += y0h_5a;
                Vector256<short> x0b = Vector256.Create(x[12]).AsInt16();
                Vector256<int> y0l_0b = Avx2.MultiplyAddAdjacent(odd0l, x0b), y0h_0b = Avx2.MultiplyAddAdjacent(odd0h, x0b);
                a0l_0 += y0l_0b;
                a0h_0 += y0h_0b;
                Vector256<short> x1b = Vector256.Create(x[13]).AsInt16();
                Vector256<int> y0l_1b = Avx2.MultiplyAddAdjacent(odd0l, x1b), y0h_1b = Avx2.MultiplyAddAdjacent(odd0h, x1b);
                a0l_1 += y0l_1b;
                a0h_1 += y0h_1b;
                Vector256<short> x2b = Vector256.Create(x[14]).AsInt16();
                Vector256<int> y0l_2b = Avx2.MultiplyAddAdjacent(odd0l, x2b), y0h_2b = Avx2.MultiplyAddAdjacent(odd0h, x2b);
                a0l_2 += y0l_2b;
                a0h_2 += y0h_2b;
                Vector256<short> x3b = Vector256.Create(x[15]).AsInt16();
                Vector256<int> y0l_3b = Avx2.MultiplyAddAdjacent(odd0l, x3b), y0h_3b = Avx2.MultiplyAddAdjacent(odd0h, x3b);
                a0l_3 += y0l_3b;
                a0h_3 += y0h_3b;
                Vector256<short> x4b = Vector256.Create(x[16]).AsInt16();
                Vector256<int> y0l_4b = Avx2.MultiplyAddAdjacent(odd0l, x4b), y0h_4b = Avx2.MultiplyAddAdjacent(odd0h, x4b);
                a0l_4 += y0l_4b;
                a0h_4 += y0h_4b;
                Vector256<short> x5b = Vector256.Create(x[17]).AsInt16();
                Vector256<int> y0l_5b = Avx2.MultiplyAddAdjacent(odd0l, x5b), y0h_5b = Avx2.MultiplyAddAdjacent(odd0h, x5b);
                a0l_5 += y0l_5b;
                a0h_5 += y0h_5b;
                w0 += 64;
                x += 24;
            }

            float* xScale = (float*)tile;
            Vector256<float> scale0 = Vector256.Create(xScale[0]);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0l_0), s0l * scale0, Vector256.Load(result)).Store(result);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0h_0), s0h * scale0, Vector256.Load(result + 8)).Store(result + 8);
            Vector256<float> scale1 = Vector256.Create(xScale[1]);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0l_1), s0l * scale1, Vector256.Load(result + 32)).Store(result + 32);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0h_1), s0h * scale1, Vector256.Load(result + 40)).Store(result + 40);
            Vector256<float> scale2 = Vector256.Create(xScale[2]);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0l_2), s0l * scale2, Vector256.Load(result + 64)).Store(result + 64);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0h_2), s0h * scale2, Vector256.Load(result + 72)).Store(result + 72);
            Vector256<float> scale3 = Vector256.Create(xScale[3]);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0l_3), s0l * scale3, Vector256.Load(result + 96)).Store(result + 96);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0h_3), s0h * scale3, Vector256.Load(result + 104)).Store(result + 104);
            Vector256<float> scale4 = Vector256.Create(xScale[4]);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0l_4), s0l * scale4, Vector256.Load(result + 128)).Store(result + 128);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0h_4), s0h * scale4, Vector256.Load(result + 136)).Store(result + 136);
            Vector256<float> scale5 = Vector256.Create(xScale[5]);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0l_5), s0l * scale5, Vector256.Load(result + 160)).Store(result + 160);
            Fma.MultiplyAdd(Vector256.ConvertToSingle(a0h_5), s0h * scale5, Vector256.Load(result + 168)).Store(result + 168);
            tile += QuantizedTiles.WordsGroupBytes * 12;
            if (odd != 0)
            {
                p0 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int8GroupBytes);
            }
        }
    }
}
