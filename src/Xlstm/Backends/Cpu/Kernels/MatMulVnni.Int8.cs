// Written by eng/write-matmul-kernels.py.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>int8 panels: four columns of a row are one lane of a dot product.</summary>
internal unsafe partial class MatMulVnni<TDot>
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
        Vector256<float> bias = Vector256.Create(QuantizedTiles.FloatBias).AsSingle();
        Vector256<byte> flip = Vector256.Create((byte)0x80);
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
            int* x = (int*)(tile + (QuantizedTiles.BytesHeader * 1));
            int* offsets = (int*)tile + 2;
            Vector256<int> a0l_0 = Vector256.Create(offsets[0]), a0h_0 = Vector256.Create(offsets[0]), a1l_0 = Vector256.Create(offsets[0]), a1h_0 = Vector256.Create(offsets[0]);
            for (int step = 0; step < 8; step++)
            {
                Sse.Prefetch0(w0 + PrefetchBytes);
                Sse.Prefetch0(w1 + PrefetchBytes);
                Vector256<byte> w0l = Vector256.Load(w0) ^ flip, w0h = Vector256.Load(w0 + 32) ^ flip, w1l = Vector256.Load(w1) ^ flip, w1h = Vector256.Load(w1 + 32) ^ flip;
                Vector256<sbyte> x0 = Vector256.Create(x[0]).AsSByte();
                a0l_0 = TDot.MultiplyAdd(a0l_0, w0l, x0);
                a0h_0 = TDot.MultiplyAdd(a0h_0, w0h, x0);
                a1l_0 = TDot.MultiplyAdd(a1l_0, w1l, x0);
                a1h_0 = TDot.MultiplyAdd(a1h_0, w1h, x0);
                w0 += 64;
                w1 += 64;
                x += 1;
            }

            float* xScale = (float*)tile;
            Vector256<float> scale0 = Vector256.Create(xScale[0]);
            Fma.MultiplyAdd(a0l_0.AsSingle() - bias, s0l * scale0, Vector256.Load(result)).Store(result);
            Fma.MultiplyAdd(a0h_0.AsSingle() - bias, s0h * scale0, Vector256.Load(result + 8)).Store(result + 8);
            Fma.MultiplyAdd(a1l_0.AsSingle() - bias, s1l * scale0, Vector256.Load(result + 16)).Store(result + 16);
            Fma.MultiplyAdd(a1h_0.AsSingle() - bias, s1h * scale0, Vector256.Load(result + 24)).Store(result + 24);
            tile += QuantizedTiles.BytesGroupBytes * 1;
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
        Vector256<float> bias = Vector256.Create(QuantizedTiles.FloatBias).AsSingle();
        Vector256<byte> flip = Vector256.Create((byte)0x80);
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
            int* x = (int*)(tile + (QuantizedTiles.BytesHeader * 4));
            int* offsets = (int*)tile + 8;
            Vector256<int> a0l_0 = Vector256.Create(offsets[0]), a0h_0 = Vector256.Create(offsets[0]);
            Vector256<int> a0l_1 = Vector256.Create(offsets[1]), a0h_1 = Vector256.Create(offsets[1]);
            Vector256<int> a0l_2 = Vector256.Create(offsets[2]), a0h_2 = Vector256.Create(offsets[2]);
            Vector256<int> a0l_3 = Vector256.Create(offsets[3]), a0h_3 = Vector256.Create(offsets[3]);
            for (int step = 0; step < 8; step++)
            {
                Vector256<byte> w0l = Vector256.Load(w0) ^ flip, w0h = Vector256.Load(w0 + 32) ^ flip;
                Vector256<sbyte> x0 = Vector256.Create(x[0]).AsSByte();
                a0l_0 = TDot.MultiplyAdd(a0l_0, w0l, x0);
                a0h_0 = TDot.MultiplyAdd(a0h_0, w0h, x0);
                Vector256<sbyte> x1 = Vector256.Create(x[1]).AsSByte();
                a0l_1 = TDot.MultiplyAdd(a0l_1, w0l, x1);
                a0h_1 = TDot.MultiplyAdd(a0h_1, w0h, x1);
                Vector256<sbyte> x2 = Vector256.Create(x[2]).AsSByte();
                a0l_2 = TDot.MultiplyAdd(a0l_2, w0l, x2);
                a0h_2 = TDot.MultiplyAdd(a0h_2, w0h, x2);
                Vector256<sbyte> x3 = Vector256.Create(x[3]).AsSByte();
                a0l_3 = TDot.MultiplyAdd(a0l_3, w0l, x3);
                a0h_3 = TDot.MultiplyAdd(a0h_3, w0h, x3);
                w0 += 64;
                x += 4;
            }

            float* xScale = (float*)tile;
            Vector256<float> scale0 = Vector256.Create(xScale[0]);
            Fma.MultiplyAdd(a0l_0.AsSingle() - bias, s0l * scale0, Vector256.Load(result)).Store(result);
            Fma.MultiplyAdd(a0h_0.AsSingle() - bias, s0h * scale0, Vector256.Load(result + 8)).Store(result + 8);
            Vector256<float> scale1 = Vector256.Create(xScale[1]);
            Fma.MultiplyAdd(a0l_1.AsSingle() - bias, s0l * scale1, Vector256.Load(result + resultStride)).Store(result + resultStride);
            Fma.MultiplyAdd(a0h_1.AsSingle() - bias, s0h * scale1, Vector256.Load(result + resultStride + 8)).Store(result + resultStride + 8);
            Vector256<float> scale2 = Vector256.Create(xScale[2]);
            Fma.MultiplyAdd(a0l_2.AsSingle() - bias, s0l * scale2, Vector256.Load(result + (2 * resultStride))).Store(result + (2 * resultStride));
            Fma.MultiplyAdd(a0h_2.AsSingle() - bias, s0h * scale2, Vector256.Load(result + (2 * resultStride) + 8)).Store(result + (2 * resultStride) + 8);
            Vector256<float> scale3 = Vector256.Create(xScale[3]);
            Fma.MultiplyAdd(a0l_3.AsSingle() - bias, s0l * scale3, Vector256.Load(result + (3 * resultStride))).Store(result + (3 * resultStride));
            Fma.MultiplyAdd(a0h_3.AsSingle() - bias, s0h * scale3, Vector256.Load(result + (3 * resultStride) + 8)).Store(result + (3 * resultStride) + 8);
            tile += QuantizedTiles.BytesGroupBytes * 4;
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
        Vector256<float> bias = Vector256.Create(QuantizedTiles.FloatBias).AsSingle();
        Vector256<byte> flip = Vector256.Create((byte)0x80);
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
            int* x = (int*)(tile + (QuantizedTiles.BytesHeader * 12));
            int* offsets = (int*)tile + 24;
            Vector256<int> a0l_0 = Vector256.Create(offsets[0]), a0h_0 = Vector256.Create(offsets[0]);
            Vector256<int> a0l_1 = Vector256.Create(offsets[1]), a0h_1 = Vector256.Create(offsets[1]);
            Vector256<int> a0l_2 = Vector256.Create(offsets[2]), a0h_2 = Vector256.Create(offsets[2]);
            Vector256<int> a0l_3 = Vector256.Create(offsets[3]), a0h_3 = Vector256.Create(offsets[3]);
            Vector256<int> a0l_4 = Vector256.Create(offsets[4]), a0h_4 = Vector256.Create(offsets[4]);
            Vector256<int> a0l_5 = Vector256.Create(offsets[5]), a0h_5 = Vector256.Create(offsets[5]);
            for (int step = 0; step < 8; step++)
            {
                Vector256<byte> w0l = Vector256.Load(w0) ^ flip, w0h = Vector256.Load(w0 + 32) ^ flip;
                Vector256<sbyte> x0 = Vector256.Create(x[0]).AsSByte();
                a0l_0 = TDot.MultiplyAdd(a0l_0, w0l, x0);
                a0h_0 = TDot.MultiplyAdd(a0h_0, w0h, x0);
                Vector256<sbyte> x1 = Vector256.Create(x[1]).AsSByte();
                a0l_1 = TDot.MultiplyAdd(a0l_1, w0l, x1);
                a0h_1 = TDot.MultiplyAdd(a0h_1, w0h, x1);
                Vector256<sbyte> x2 = Vector256.Create(x[2]).AsSByte();
                a0l_2 = TDot.MultiplyAdd(a0l_2, w0l, x2);
                a0h_2 = TDot.MultiplyAdd(a0h_2, w0h, x2);
                Vector256<sbyte> x3 = Vector256.Create(x[3]).AsSByte();
                a0l_3 = TDot.MultiplyAdd(a0l_3, w0l, x3);
                a0h_3 = TDot.MultiplyAdd(a0h_3, w0h, x3);
                Vector256<sbyte> x4 = Vector256.Create(x[4]).AsSByte();
                a0l_4 = TDot.MultiplyAdd(a0l_4, w0l, x4);
                a0h_4 = TDot.MultiplyAdd(a0h_4, w0h, x4);
                Vector256<sbyte> x5 = Vector256.Create(x[5]).AsSByte();
                a0l_5 = TDot.MultiplyAdd(a0l_5, w0l, x5);
                a0h_5 = TDot.MultiplyAdd(a0h_5, w0h, x5);
                w0 += 64;
                x += 12;
            }

            float* xScale = (float*)tile;
            Vector256<float> scale0 = Vector256.Create(xScale[0]);
            Fma.MultiplyAdd(a0l_0.AsSingle() - bias, s0l * scale0, Vector256.Load(result)).Store(result);
            Fma.MultiplyAdd(a0h_0.AsSingle() - bias, s0h * scale0, Vector256.Load(result + 8)).Store(result + 8);
            Vector256<float> scale1 = Vector256.Create(xScale[1]);
            Fma.MultiplyAdd(a0l_1.AsSingle() - bias, s0l * scale1, Vector256.Load(result + 32)).Store(result + 32);
            Fma.MultiplyAdd(a0h_1.AsSingle() - bias, s0h * scale1, Vector256.Load(result + 40)).Store(result + 40);
            Vector256<float> scale2 = Vector256.Create(xScale[2]);
            Fma.MultiplyAdd(a0l_2.AsSingle() - bias, s0l * scale2, Vector256.Load(result + 64)).Store(result + 64);
            Fma.MultiplyAdd(a0h_2.AsSingle() - bias, s0h * scale2, Vector256.Load(result + 72)).Store(result + 72);
            Vector256<float> scale3 = Vector256.Create(xScale[3]);
            Fma.MultiplyAdd(a0l_3.AsSingle() - bias, s0l * scale3, Vector256.Load(result + 96)).Store(result + 96);
            Fma.MultiplyAdd(a0h_3.AsSingle() - bias, s0h * scale3, Vector256.Load(result + 104)).Store(result + 104);
            Vector256<float> scale4 = Vector256.Create(xScale[4]);
            Fma.MultiplyAdd(a0l_4.AsSingle() - bias, s0l * scale4, Vector256.Load(result + 128)).Store(result + 128);
            Fma.MultiplyAdd(a0h_4.AsSingle() - bias, s0h * scale4, Vector256.Load(result + 136)).Store(result + 136);
            Vector256<float> scale5 = Vector256.Create(xScale[5]);
            Fma.MultiplyAdd(a0l_5.AsSingle() - bias, s0l * scale5, Vector256.Load(result + 160)).Store(result + 160);
            Fma.MultiplyAdd(a0h_5.AsSingle() - bias, s0h * scale5, Vector256.Load(result + 168)).Store(result + 168);
            tile += QuantizedTiles.BytesGroupBytes * 12;
            if (odd != 0)
            {
                p0 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int8GroupBytes);
            }
        }
    }
}
