// Written by eng/write-matmul-kernels.py.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>int4 panels: unsigned nibbles times signed bytes; eight steps of at most 2 * 15 * 127 stay inside 16 bits.</summary>
internal unsafe partial class MatMulAvx2
{
    /// <inheritdoc/>
    public override void Int4(in PanelGroup panels, int groups, byte* tile, int width, float* result)
    {
        const int Row = GroupPanels * PackedMatrix.PanelRows, WideRow = WidePanels * PackedMatrix.PanelRows;
        switch (width)
        {
            case 1:
                Int4Pair2x1(panels.P0, panels.P1, groups, tile, result);
                Int4Pair2x1(panels.P2, panels.P3, groups, tile, result + (2 * PackedMatrix.PanelRows));
                break;
            case ActivationTiles.Narrow:
                Int4Single1x4(panels.P0, groups, tile, result, Row);
                Int4Single1x4(panels.P1, groups, tile, result + PackedMatrix.PanelRows, Row);
                Int4Single1x4(panels.P2, groups, tile, result + (2 * PackedMatrix.PanelRows), Row);
                Int4Single1x4(panels.P3, groups, tile, result + (3 * PackedMatrix.PanelRows), Row);
                break;
            default:
                for (int t = 0; t < ActivationTiles.Wide; t += WideStep)
                {
                    Int4Single1x6(panels.P0, groups, tile + (t * sizeof(int)), result + (t * WideRow));
                    Int4Single1x6(panels.P1, groups, tile + (t * sizeof(int)), result + (t * WideRow) + PackedMatrix.PanelRows);
                }

                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Int4Pair2x1(byte* panel0, byte* panel1, int groups, byte* tile, float* result)
    {
        byte* p0 = panel0, p1 = panel1;
        Vector256<byte> nibble = Vector256.Create((byte)0x0F);
        Vector256<short> ones = Vector256<short>.One;
        Vector256<float> d0l = Vector256.Load((float*)p0), d0h = Vector256.Load((float*)p0 + 8), d1l = Vector256.Load((float*)p1), d1h = Vector256.Load((float*)p1 + 8);
        Vector256<float> dm0l = Vector256.Load((float*)p0 + 16), dm0h = Vector256.Load((float*)p0 + 24), dm1l = Vector256.Load((float*)p1 + 16), dm1h = Vector256.Load((float*)p1 + 24);
        p0 += PackedMatrix.Int4RowBytes;
        p1 += PackedMatrix.Int4RowBytes;
        Vector256<float>.Zero.Store(result);
        Vector256<float>.Zero.Store(result + 8);
        Vector256<float>.Zero.Store(result + 16);
        Vector256<float>.Zero.Store(result + 24);

        for (int group = 0; group < groups; group++)
        {
            // A pair of groups shares one cache line of scales, at the front.
            int odd = group & 1;
            Vector256<float> s0l = d0l * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32))).AsByte())), s0h = d0h * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 8)).AsByte())), s1l = d1l * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)(p1 + (odd * 32))).AsByte())), s1h = d1h * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)(p1 + (odd * 32) + 8)).AsByte()));
            Vector256<float> m0l = dm0l * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 16)).AsByte())), m0h = dm0h * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 24)).AsByte())), m1l = dm1l * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)(p1 + (odd * 32) + 16)).AsByte())), m1h = dm1h * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)(p1 + (odd * 32) + 24)).AsByte()));
            byte* w0 = p0 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes), w1 = p1 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes);
            int* x = (int*)(tile + (QuantizedTiles.BytesHeader * 1));
            Vector256<short> a0l_0 = Vector256<short>.Zero, a0h_0 = Vector256<short>.Zero, a1l_0 = Vector256<short>.Zero, a1h_0 = Vector256<short>.Zero;
            for (int step = 0; step < 4; step++)
            {
                Sse.Prefetch0(w0 + PrefetchBytes);
                Sse.Prefetch0(w1 + PrefetchBytes);
                Vector256<byte> q0l = Vector256.Load(w0), q0h = Vector256.Load(w0 + 32), q1l = Vector256.Load(w1), q1h = Vector256.Load(w1 + 32);
                Vector256<byte> low0l = q0l & nibble, low0h = q0h & nibble, low1l = q1l & nibble, low1h = q1h & nibble;
                Vector256<byte> high0l = (q0l.AsUInt16() >> 4).AsByte() & nibble, high0h = (q0h.AsUInt16() >> 4).AsByte() & nibble, high1l = (q1l.AsUInt16() >> 4).AsByte() & nibble, high1h = (q1h.AsUInt16() >> 4).AsByte() & nibble;
                Vector256<sbyte> x0a = Vector256.Create(x[0]).AsSByte();
                Vector256<short> y0l_0a = Avx2.MultiplyAddAdjacent(low0l, x0a), y0h_0a = Avx2.MultiplyAddAdjacent(low0h, x0a), y1l_0a = Avx2.MultiplyAddAdjacent(low1l, x0a), y1h_0a = Avx2.MultiplyAddAdjacent(low1h, x0a);
                a0l_0 += y0l_0a;
                a0h_0 += y0h_0a;
                a1l_0 += y1l_0a;
                a1h_0 += y1h_0a;
                Vector256<sbyte> x0b = Vector256.Create(x[1]).AsSByte();
                Vector256<short> y0l_0b = Avx2.MultiplyAddAdjacent(high0l, x0b), y0h_0b = Avx2.MultiplyAddAdjacent(high0h, x0b), y1l_0b = Avx2.MultiplyAddAdjacent(high1l, x0b), y1h_0b = Avx2.MultiplyAddAdjacent(high1h, x0b);
                a0l_0 += y0l_0b;
                a0h_0 += y0h_0b;
                a1l_0 += y1l_0b;
                a1h_0 += y1h_0b;
                w0 += 64;
                w1 += 64;
                x += 2;
            }

            float* xScale = (float*)tile, xSum = xScale + 1;
            Vector256<float> scale0 = Vector256.Create(xScale[0]), sum0 = Vector256.Create(-xSum[0]);
            Fma.MultiplyAdd(m0l, sum0, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0l_0, ones)), s0l * scale0, Vector256.Load(result))).Store(result);
            Fma.MultiplyAdd(m0h, sum0, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0h_0, ones)), s0h * scale0, Vector256.Load(result + 8))).Store(result + 8);
            Fma.MultiplyAdd(m1l, sum0, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a1l_0, ones)), s1l * scale0, Vector256.Load(result + 16))).Store(result + 16);
            Fma.MultiplyAdd(m1h, sum0, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a1h_0, ones)), s1h * scale0, Vector256.Load(result + 24))).Store(result + 24);
            tile += QuantizedTiles.BytesGroupBytes * 1;
            if (odd != 0)
            {
                p0 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes);
                p1 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Int4Single1x4(byte* panel0, int groups, byte* tile, float* result, int resultStride)
    {
        byte* p0 = panel0;
        Vector256<byte> nibble = Vector256.Create((byte)0x0F);
        Vector256<short> ones = Vector256<short>.One;
        Vector256<float> d0l = Vector256.Load((float*)p0), d0h = Vector256.Load((float*)p0 + 8);
        Vector256<float> dm0l = Vector256.Load((float*)p0 + 16), dm0h = Vector256.Load((float*)p0 + 24);
        p0 += PackedMatrix.Int4RowBytes;
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
            Vector256<float> s0l = d0l * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32))).AsByte())), s0h = d0h * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 8)).AsByte()));
            Vector256<float> m0l = dm0l * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 16)).AsByte())), m0h = dm0h * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 24)).AsByte()));
            byte* w0 = p0 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes);
            int* x = (int*)(tile + (QuantizedTiles.BytesHeader * 4));
            Vector256<short> a0l_0 = Vector256<short>.Zero, a0h_0 = Vector256<short>.Zero;
            Vector256<short> a0l_1 = Vector256<short>.Zero, a0h_1 = Vector256<short>.Zero;
            Vector256<short> a0l_2 = Vector256<short>.Zero, a0h_2 = Vector256<short>.Zero;
            Vector256<short> a0l_3 = Vector256<short>.Zero, a0h_3 = Vector256<short>.Zero;
            for (int step = 0; step < 4; step++)
            {
                Vector256<byte> q0l = Vector256.Load(w0), q0h = Vector256.Load(w0 + 32);
                Vector256<byte> low0l = q0l & nibble, low0h = q0h & nibble;
                Vector256<byte> high0l = (q0l.AsUInt16() >> 4).AsByte() & nibble, high0h = (q0h.AsUInt16() >> 4).AsByte() & nibble;
                Vector256<sbyte> x0a = Vector256.Create(x[0]).AsSByte();
                Vector256<short> y0l_0a = Avx2.MultiplyAddAdjacent(low0l, x0a), y0h_0a = Avx2.MultiplyAddAdjacent(low0h, x0a);
                a0l_0 += y0l_0a;
                a0h_0 += y0h_0a;
                Vector256<sbyte> x1a = Vector256.Create(x[1]).AsSByte();
                Vector256<short> y0l_1a = Avx2.MultiplyAddAdjacent(low0l, x1a), y0h_1a = Avx2.MultiplyAddAdjacent(low0h, x1a);
                a0l_1 += y0l_1a;
                a0h_1 += y0h_1a;
                Vector256<sbyte> x2a = Vector256.Create(x[2]).AsSByte();
                Vector256<short> y0l_2a = Avx2.MultiplyAddAdjacent(low0l, x2a), y0h_2a = Avx2.MultiplyAddAdjacent(low0h, x2a);
                a0l_2 += y0l_2a;
                a0h_2 += y0h_2a;
                Vector256<sbyte> x3a = Vector256.Create(x[3]).AsSByte();
                Vector256<short> y0l_3a = Avx2.MultiplyAddAdjacent(low0l, x3a), y0h_3a = Avx2.MultiplyAddAdjacent(low0h, x3a);
                a0l_3 += y0l_3a;
                a0h_3 += y0h_3a;
                Vector256<sbyte> x0b = Vector256.Create(x[4]).AsSByte();
                Vector256<short> y0l_0b = Avx2.MultiplyAddAdjacent(high0l, x0b), y0h_0b = Avx2.MultiplyAddAdjacent(high0h, x0b);
                a0l_0 += y0l_0b;
                a0h_0 += y0h_0b;
                Vector256<sbyte> x1b = Vector256.Create(x[5]).AsSByte();
                Vector256<short> y0l_1b = Avx2.MultiplyAddAdjacent(high0l, x1b), y0h_1b = Avx2.MultiplyAddAdjacent(high0h, x1b);
                a0l_1 += y0l_1b;
                a0h_1 += y0h_1b;
                Vector256<sbyte> x2b = Vector256.Create(x[6]).AsSByte();
                Vector256<short> y0l_2b = Avx2.MultiplyAddAdjacent(high0l, x2b), y0h_2b = Avx2.MultiplyAddAdjacent(high0h, x2b);
                a0l_2 += y0l_2b;
                a0h_2 += y0h_2b;
                Vector256<sbyte> x3b = Vector256.Create(x[7]).AsSByte();
                Vector256<short> y0l_3b = Avx2.MultiplyAddAdjacent(high0l, x3b), y0h_3b = Avx2.MultiplyAddAdjacent(high0h, x3b);
                a0l_3 += y0l_3b;
                a0h_3 += y0h_3b;
                w0 += 64;
                x += 8;
            }

            float* xScale = (float*)tile, xSum = xScale + 4;
            Vector256<float> scale0 = Vector256.Create(xScale[0]), sum0 = Vector256.Create(-xSum[0]);
            Fma.MultiplyAdd(m0l, sum0, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0l_0, ones)), s0l * scale0, Vector256.Load(result))).Store(result);
            Fma.MultiplyAdd(m0h, sum0, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0h_0, ones)), s0h * scale0, Vector256.Load(result + 8))).Store(result + 8);
            Vector256<float> scale1 = Vector256.Create(xScale[1]), sum1 = Vector256.Create(-xSum[1]);
            Fma.MultiplyAdd(m0l, sum1, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0l_1, ones)), s0l * scale1, Vector256.Load(result + resultStride))).Store(result + resultStride);
            Fma.MultiplyAdd(m0h, sum1, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0h_1, ones)), s0h * scale1, Vector256.Load(result + resultStride + 8))).Store(result + resultStride + 8);
            Vector256<float> scale2 = Vector256.Create(xScale[2]), sum2 = Vector256.Create(-xSum[2]);
            Fma.MultiplyAdd(m0l, sum2, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0l_2, ones)), s0l * scale2, Vector256.Load(result + (2 * resultStride)))).Store(result + (2 * resultStride));
            Fma.MultiplyAdd(m0h, sum2, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0h_2, ones)), s0h * scale2, Vector256.Load(result + (2 * resultStride) + 8))).Store(result + (2 * resultStride) + 8);
            Vector256<float> scale3 = Vector256.Create(xScale[3]), sum3 = Vector256.Create(-xSum[3]);
            Fma.MultiplyAdd(m0l, sum3, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0l_3, ones)), s0l * scale3, Vector256.Load(result + (3 * resultStride)))).Store(result + (3 * resultStride));
            Fma.MultiplyAdd(m0h, sum3, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0h_3, ones)), s0h * scale3, Vector256.Load(result + (3 * resultStride) + 8))).Store(result + (3 * resultStride) + 8);
            tile += QuantizedTiles.BytesGroupBytes * 4;
            if (odd != 0)
            {
                p0 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Int4Single1x6(byte* panel0, int groups, byte* tile, float* result)
    {
        byte* p0 = panel0;
        Vector256<byte> nibble = Vector256.Create((byte)0x0F);
        Vector256<short> ones = Vector256<short>.One;
        Vector256<float> d0l = Vector256.Load((float*)p0), d0h = Vector256.Load((float*)p0 + 8);
        Vector256<float> dm0l = Vector256.Load((float*)p0 + 16), dm0h = Vector256.Load((float*)p0 + 24);
        p0 += PackedMatrix.Int4RowBytes;
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
            Vector256<float> s0l = d0l * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32))).AsByte())), s0h = d0h * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 8)).AsByte()));
            Vector256<float> m0l = dm0l * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 16)).AsByte())), m0h = dm0h * Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 24)).AsByte()));
            byte* w0 = p0 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes);
            int* x = (int*)(tile + (QuantizedTiles.BytesHeader * 12));
            Vector256<short> a0l_0 = Vector256<short>.Zero, a0h_0 = Vector256<short>.Zero;
            Vector256<short> a0l_1 = Vector256<short>.Zero, a0h_1 = Vector256<short>.Zero;
            Vector256<short> a0l_2 = Vector256<short>.Zero, a0h_2 = Vector256<short>.Zero;
            Vector256<short> a0l_3 = Vector256<short>.Zero, a0h_3 = Vector256<short>.Zero;
            Vector256<short> a0l_4 = Vector256<short>.Zero, a0h_4 = Vector256<short>.Zero;
            Vector256<short> a0l_5 = Vector256<short>.Zero, a0h_5 = Vector256<short>.Zero;
            for (int step = 0; step < 4; step++)
            {
                Vector256<byte> q0l = Vector256.Load(w0), q0h = Vector256.Load(w0 + 32);
                Vector256<byte> low0l = q0l & nibble, low0h = q0h & nibble;
                Vector256<byte> high0l = (q0l.AsUInt16() >> 4).AsByte() & nibble, high0h = (q0h.AsUInt16() >> 4).AsByte() & nibble;
                Vector256<sbyte> x0a = Vector256.Create(x[0]).AsSByte();
                Vector256<short> y0l_0a = Avx2.MultiplyAddAdjacent(low0l, x0a), y0h_0a = Avx2.MultiplyAddAdjacent(low0h, x0a);
                a0l_0 += y0l_0a;
                a0h_0 += y0h_0a;
                Vector256<sbyte> x1a = Vector256.Create(x[1]).AsSByte();
                Vector256<short> y0l_1a = Avx2.MultiplyAddAdjacent(low0l, x1a), y0h_1a = Avx2.MultiplyAddAdjacent(low0h, x1a);
                a0l_1 += y0l_1a;
                a0h_1 += y0h_1a;
                Vector256<sbyte> x2a = Vector256.Create(x[2]).AsSByte();
                Vector256<short> y0l_2a = Avx2.MultiplyAddAdjacent(low0l, x2a), y0h_2a = Avx2.MultiplyAddAdjacent(low0h, x2a);
                a0l_2 += y0l_2a;
                a0h_2 += y0h_2a;
                Vector256<sbyte> x3a = Vector256.Create(x[3]).AsSByte();
                Vector256<short> y0l_3a = Avx2.MultiplyAddAdjacent(low0l, x3a), y0h_3a = Avx2.MultiplyAddAdjacent(low0h, x3a);
                a0l_3 += y0l_3a;
                a0h_3 += y0h_3a;
                Vector256<sbyte> x4a = Vector256.Create(x[4]).AsSByte();
                Vector256<short> y0l_4a = Avx2.MultiplyAddAdjacent(low0l, x4a), y0h_4a = Avx2.MultiplyAddAdjacent(low0h, x4a);
                a0l_4 += y0l_4a;
                a0h_4 += y0h_4a;
                Vector256<sbyte> x5a = Vector256.Create(x[5]).AsSByte();
                Vector256<short> y0l_5a = Avx2.MultiplyAddAdjacent(low0l, x5a), y0h_5a = Avx2.MultiplyAddAdjacent(low0h, x5a);
                a0l_5 += y0l_5a;
                a0h_5 += y0h_5a;
                Vector256<sbyte> x0b = Vector256.Create(x[12]).AsSByte();
                Vector256<short> y0l_0b = Avx2.MultiplyAddAdjacent(high0l, x0b), y0h_0b = Avx2.MultiplyAddAdjacent(high0h, x0b);
                a0l_0 += y0l_0b;
                a0h_0 += y0h_0b;
                Vector256<sbyte> x1b = Vector256.Create(x[13]).AsSByte();
                Vector256<short> y0l_1b = Avx2.MultiplyAddAdjacent(high0l, x1b), y0h_1b = Avx2.MultiplyAddAdjacent(high0h, x1b);
                a0l_1 += y0l_1b;
                a0h_1 += y0h_1b;
                Vector256<sbyte> x2b = Vector256.Create(x[14]).AsSByte();
                Vector256<short> y0l_2b = Avx2.MultiplyAddAdjacent(high0l, x2b), y0h_2b = Avx2.MultiplyAddAdjacent(high0h, x2b);
                a0l_2 += y0l_2b;
                a0h_2 += y0h_2b;
                Vector256<sbyte> x3b = Vector256.Create(x[15]).AsSByte();
                Vector256<short> y0l_3b = Avx2.MultiplyAddAdjacent(high0l, x3b), y0h_3b = Avx2.MultiplyAddAdjacent(high0h, x3b);
                a0l_3 += y0l_3b;
                a0h_3 += y0h_3b;
                Vector256<sbyte> x4b = Vector256.Create(x[16]).AsSByte();
                Vector256<short> y0l_4b = Avx2.MultiplyAddAdjacent(high0l, x4b), y0h_4b = Avx2.MultiplyAddAdjacent(high0h, x4b);
                a0l_4 += y0l_4b;
                a0h_4 += y0h_4b;
                Vector256<sbyte> x5b = Vector256.Create(x[17]).AsSByte();
                Vector256<short> y0l_5b = Avx2.MultiplyAddAdjacent(high0l, x5b), y0h_5b = Avx2.MultiplyAddAdjacent(high0h, x5b);
                a0l_5 += y0l_5b;
                a0h_5 += y0h_5b;
                w0 += 64;
                x += 24;
            }

            float* xScale = (float*)tile, xSum = xScale + 12;
            Vector256<float> scale0 = Vector256.Create(xScale[0]), sum0 = Vector256.Create(-xSum[0]);
            Fma.MultiplyAdd(m0l, sum0, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0l_0, ones)), s0l * scale0, Vector256.Load(result))).Store(result);
            Fma.MultiplyAdd(m0h, sum0, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0h_0, ones)), s0h * scale0, Vector256.Load(result + 8))).Store(result + 8);
            Vector256<float> scale1 = Vector256.Create(xScale[1]), sum1 = Vector256.Create(-xSum[1]);
            Fma.MultiplyAdd(m0l, sum1, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0l_1, ones)), s0l * scale1, Vector256.Load(result + 32))).Store(result + 32);
            Fma.MultiplyAdd(m0h, sum1, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0h_1, ones)), s0h * scale1, Vector256.Load(result + 40))).Store(result + 40);
            Vector256<float> scale2 = Vector256.Create(xScale[2]), sum2 = Vector256.Create(-xSum[2]);
            Fma.MultiplyAdd(m0l, sum2, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0l_2, ones)), s0l * scale2, Vector256.Load(result + 64))).Store(result + 64);
            Fma.MultiplyAdd(m0h, sum2, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0h_2, ones)), s0h * scale2, Vector256.Load(result + 72))).Store(result + 72);
            Vector256<float> scale3 = Vector256.Create(xScale[3]), sum3 = Vector256.Create(-xSum[3]);
            Fma.MultiplyAdd(m0l, sum3, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0l_3, ones)), s0l * scale3, Vector256.Load(result + 96))).Store(result + 96);
            Fma.MultiplyAdd(m0h, sum3, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0h_3, ones)), s0h * scale3, Vector256.Load(result + 104))).Store(result + 104);
            Vector256<float> scale4 = Vector256.Create(xScale[4]), sum4 = Vector256.Create(-xSum[4]);
            Fma.MultiplyAdd(m0l, sum4, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0l_4, ones)), s0l * scale4, Vector256.Load(result + 128))).Store(result + 128);
            Fma.MultiplyAdd(m0h, sum4, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0h_4, ones)), s0h * scale4, Vector256.Load(result + 136))).Store(result + 136);
            Vector256<float> scale5 = Vector256.Create(xScale[5]), sum5 = Vector256.Create(-xSum[5]);
            Fma.MultiplyAdd(m0l, sum5, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0l_5, ones)), s0l * scale5, Vector256.Load(result + 160))).Store(result + 160);
            Fma.MultiplyAdd(m0h, sum5, Fma.MultiplyAdd(Vector256.ConvertToSingle(Avx2.MultiplyAddAdjacent(a0h_5, ones)), s0h * scale5, Vector256.Load(result + 168))).Store(result + 168);
            tile += QuantizedTiles.BytesGroupBytes * 12;
            if (odd != 0)
            {
                p0 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes);
            }
        }
    }
}
