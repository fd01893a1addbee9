// Written by eng/write-matmul-kernels.py.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>int4 panels: unsigned nibbles times signed bytes; eight steps of at most 2 * 15 * 127 stay inside 16 bits.</summary>
internal unsafe partial class MatMulAvx512
{
    /// <inheritdoc/>
    public override void Int4(in PanelGroup panels, int groups, byte* tile, int width, float* result)
    {
        switch (width)
        {
            case 1:
                Int4Group4x1(panels, groups, tile, result);
                break;
            case ActivationTiles.Narrow:
                Int4Group4x4(panels, groups, tile, result);
                break;
            default:
                Int4Pair2x12(panels, groups, tile, result);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Int4Group4x1(in PanelGroup panels, int groups, byte* tile, float* result)
    {
        byte* p0 = panels.P0, p1 = panels.P1, p2 = panels.P2, p3 = panels.P3;
        Vector512<byte> nibble = Vector512.Create((byte)0x0F);
        Vector512<short> ones = Vector512<short>.One;
        Vector512<float> d0 = Vector512.Load((float*)p0), d1 = Vector512.Load((float*)p1), d2 = Vector512.Load((float*)p2), d3 = Vector512.Load((float*)p3);
        Vector512<float> dm0 = Vector512.Load((float*)p0 + 16), dm1 = Vector512.Load((float*)p1 + 16), dm2 = Vector512.Load((float*)p2 + 16), dm3 = Vector512.Load((float*)p3 + 16);
        p0 += PackedMatrix.Int4RowBytes;
        p1 += PackedMatrix.Int4RowBytes;
        p2 += PackedMatrix.Int4RowBytes;
        p3 += PackedMatrix.Int4RowBytes;
        Vector512<float>.Zero.Store(result);
        Vector512<float>.Zero.Store(result + 16);
        Vector512<float>.Zero.Store(result + 32);
        Vector512<float>.Zero.Store(result + 48);

        for (int group = 0; group < groups; group++)
        {
            // A pair of groups shares one cache line of scales, at the front.
            int odd = group & 1;
            Vector512<float> s0 = d0 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p0 + (odd * 32)))), s1 = d1 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p1 + (odd * 32)))), s2 = d2 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p2 + (odd * 32)))), s3 = d3 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p3 + (odd * 32))));
            Vector512<float> m0 = dm0 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p0 + (odd * 32) + 16))), m1 = dm1 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p1 + (odd * 32) + 16))), m2 = dm2 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p2 + (odd * 32) + 16))), m3 = dm3 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p3 + (odd * 32) + 16)));
            byte* w0 = p0 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes), w1 = p1 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes), w2 = p2 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes), w3 = p3 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes);
            int* x = (int*)(tile + (QuantizedTiles.BytesHeader * 1));
            Vector512<short> a0_0 = Vector512<short>.Zero, a1_0 = Vector512<short>.Zero, a2_0 = Vector512<short>.Zero, a3_0 = Vector512<short>.Zero;
            for (int step = 0; step < 4; step++)
            {
                Sse.Prefetch0(w0 + PrefetchBytes);
                Sse.Prefetch0(w1 + PrefetchBytes);
                Sse.Prefetch0(w2 + PrefetchBytes);
                Sse.Prefetch0(w3 + PrefetchBytes);
                Vector512<byte> q0 = Vector512.Load(w0), q1 = Vector512.Load(w1), q2 = Vector512.Load(w2), q3 = Vector512.Load(w3);
                Vector512<byte> low0 = q0 & nibble, low1 = q1 & nibble, low2 = q2 & nibble, low3 = q3 & nibble;
                Vector512<byte> high0 = (q0.AsUInt16() >> 4).AsByte() & nibble, high1 = (q1.AsUInt16() >> 4).AsByte() & nibble, high2 = (q2.AsUInt16() >> 4).AsByte() & nibble, high3 = (q3.AsUInt16() >> 4).AsByte() & nibble;
                Vector512<sbyte> x0a = Vector512.Create(x[0]).AsSByte();
                Vector512<short> y0_0a = Avx512BW.MultiplyAddAdjacent(low0, x0a), y1_0a = Avx512BW.MultiplyAddAdjacent(low1, x0a), y2_0a = Avx512BW.MultiplyAddAdjacent(low2, x0a), y3_0a = Avx512BW.MultiplyAddAdjacent(low3, x0a);
                a0_0 += y0_0a;
                a1_0 += y1_0a;
                a2_0 += y2_0a;
                a3_0 += y3_0a;
                Vector512<sbyte> x0b = Vector512.Create(x[1]).AsSByte();
                Vector512<short> y0_0b = Avx512BW.MultiplyAddAdjacent(high0, x0b), y1_0b = Avx512BW.MultiplyAddAdjacent(high1, x0b), y2_0b = Avx512BW.MultiplyAddAdjacent(high2, x0b), y3_0b = Avx512BW.MultiplyAddAdjacent(high3, x0b);
                a0_0 += y0_0b;
                a1_0 += y1_0b;
                a2_0 += y2_0b;
                a3_0 += y3_0b;
                w0 += 64;
                w1 += 64;
                w2 += 64;
                w3 += 64;
                x += 2;
            }

            float* xScale = (float*)tile, xSum = xScale + 1;
            Vector512<float> scale0 = Vector512.Create(xScale[0]), sum0 = Vector512.Create(-xSum[0]);
            Avx512F.FusedMultiplyAdd(m0, sum0, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_0, ones)), s0 * scale0, Vector512.Load(result))).Store(result);
            Avx512F.FusedMultiplyAdd(m1, sum0, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_0, ones)), s1 * scale0, Vector512.Load(result + 16))).Store(result + 16);
            Avx512F.FusedMultiplyAdd(m2, sum0, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a2_0, ones)), s2 * scale0, Vector512.Load(result + 32))).Store(result + 32);
            Avx512F.FusedMultiplyAdd(m3, sum0, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a3_0, ones)), s3 * scale0, Vector512.Load(result + 48))).Store(result + 48);
            tile += QuantizedTiles.BytesGroupBytes * 1;
            if (odd != 0)
            {
                p0 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes);
                p1 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes);
                p2 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes);
                p3 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Int4Group4x4(in PanelGroup panels, int groups, byte* tile, float* result)
    {
        byte* p0 = panels.P0, p1 = panels.P1, p2 = panels.P2, p3 = panels.P3;
        Vector512<byte> nibble = Vector512.Create((byte)0x0F);
        Vector512<short> ones = Vector512<short>.One;
        Vector512<float> d0 = Vector512.Load((float*)p0), d1 = Vector512.Load((float*)p1), d2 = Vector512.Load((float*)p2), d3 = Vector512.Load((float*)p3);
        Vector512<float> dm0 = Vector512.Load((float*)p0 + 16), dm1 = Vector512.Load((float*)p1 + 16), dm2 = Vector512.Load((float*)p2 + 16), dm3 = Vector512.Load((float*)p3 + 16);
        p0 += PackedMatrix.Int4RowBytes;
        p1 += PackedMatrix.Int4RowBytes;
        p2 += PackedMatrix.Int4RowBytes;
        p3 += PackedMatrix.Int4RowBytes;
        Vector512<float>.Zero.Store(result);
        Vector512<float>.Zero.Store(result + 16);
        Vector512<float>.Zero.Store(result + 32);
        Vector512<float>.Zero.Store(result + 48);
        Vector512<float>.Zero.Store(result + 64);
        Vector512<float>.Zero.Store(result + 80);
        Vector512<float>.Zero.Store(result + 96);
        Vector512<float>.Zero.Store(result + 112);
        Vector512<float>.Zero.Store(result + 128);
        Vector512<float>.Zero.Store(result + 144);
        Vector512<float>.Zero.Store(result + 160);
        Vector512<float>.Zero.Store(result + 176);
        Vector512<float>.Zero.Store(result + 192);
        Vector512<float>.Zero.Store(result + 208);
        Vector512<float>.Zero.Store(result + 224);
        Vector512<float>.Zero.Store(result + 240);

        for (int group = 0; group < groups; group++)
        {
            // A pair of groups shares one cache line of scales, at the front.
            int odd = group & 1;
            Vector512<float> s0 = d0 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p0 + (odd * 32)))), s1 = d1 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p1 + (odd * 32)))), s2 = d2 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p2 + (odd * 32)))), s3 = d3 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p3 + (odd * 32))));
            Vector512<float> m0 = dm0 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p0 + (odd * 32) + 16))), m1 = dm1 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p1 + (odd * 32) + 16))), m2 = dm2 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p2 + (odd * 32) + 16))), m3 = dm3 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p3 + (odd * 32) + 16)));
            byte* w0 = p0 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes), w1 = p1 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes), w2 = p2 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes), w3 = p3 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes);
            int* x = (int*)(tile + (QuantizedTiles.BytesHeader * 4));
            Vector512<short> a0_0 = Vector512<short>.Zero, a1_0 = Vector512<short>.Zero, a2_0 = Vector512<short>.Zero, a3_0 = Vector512<short>.Zero;
            Vector512<short> a0_1 = Vector512<short>.Zero, a1_1 = Vector512<short>.Zero, a2_1 = Vector512<short>.Zero, a3_1 = Vector512<short>.Zero;
            Vector512<short> a0_2 = Vector512<short>.Zero, a1_2 = Vector512<short>.Zero, a2_2 = Vector512<short>.Zero, a3_2 = Vector512<short>.Zero;
            Vector512<short> a0_3 = Vector512<short>.Zero, a1_3 = Vector512<short>.Zero, a2_3 = Vector512<short>.Zero, a3_3 = Vector512<short>.Zero;
            for (int step = 0; step < 4; step++)
            {
                Vector512<byte> q0 = Vector512.Load(w0), q1 = Vector512.Load(w1), q2 = Vector512.Load(w2), q3 = Vector512.Load(w3);
                Vector512<byte> low0 = q0 & nibble, low1 = q1 & nibble, low2 = q2 & nibble, low3 = q3 & nibble;
                Vector512<byte> high0 = (q0.AsUInt16() >> 4).AsByte() & nibble, high1 = (q1.AsUInt16() >> 4).AsByte() & nibble, high2 = (q2.AsUInt16() >> 4).AsByte() & nibble, high3 = (q3.AsUInt16() >> 4).AsByte() & nibble;
                Vector512<sbyte> x0a = Vector512.Create(x[0]).AsSByte();
                Vector512<short> y0_0a = Avx512BW.MultiplyAddAdjacent(low0, x0a), y1_0a = Avx512BW.MultiplyAddAdjacent(low1, x0a), y2_0a = Avx512BW.MultiplyAddAdjacent(low2, x0a), y3_0a = Avx512BW.MultiplyAddAdjacent(low3, x0a);
                a0_0 += y0_0a;
                a1_0 += y1_0a;
                a2_0 += y2_0a;
                a3_0 += y3_0a;
                Vector512<sbyte> x1a = Vector512.Create(x[1]).AsSByte();
                Vector512<short> y0_1a = Avx512BW.MultiplyAddAdjacent(low0, x1a), y1_1a = Avx512BW.MultiplyAddAdjacent(low1, x1a), y2_1a = Avx512BW.MultiplyAddAdjacent(low2, x1a), y3_1a = Avx512BW.MultiplyAddAdjacent(low3, x1a);
                a0_1 += y0_1a;
                a1_1 += y1_1a;
                a2_1 += y2_1a;
                a3_1 += y3_1a;
                Vector512<sbyte> x2a = Vector512.Create(x[2]).AsSByte();
                Vector512<short> y0_2a = Avx512BW.MultiplyAddAdjacent(low0, x2a), y1_2a = Avx512BW.MultiplyAddAdjacent(low1, x2a), y2_2a = Avx512BW.MultiplyAddAdjacent(low2, x2a), y3_2a = Avx512BW.MultiplyAddAdjacent(low3, x2a);
                a0_2 += y0_2a;
                a1_2 += y1_2a;
                a2_2 += y2_2a;
                a3_2 += y3_2a;
                Vector512<sbyte> x3a = Vector512.Create(x[3]).AsSByte();
                Vector512<short> y0_3a = Avx512BW.MultiplyAddAdjacent(low0, x3a), y1_3a = Avx512BW.MultiplyAddAdjacent(low1, x3a), y2_3a = Avx512BW.MultiplyAddAdjacent(low2, x3a), y3_3a = Avx512BW.MultiplyAddAdjacent(low3, x3a);
                a0_3 += y0_3a;
                a1_3 += y1_3a;
                a2_3 += y2_3a;
                a3_3 += y3_3a;
                Vector512<sbyte> x0b = Vector512.Create(x[4]).AsSByte();
                Vector512<short> y0_0b = Avx512BW.MultiplyAddAdjacent(high0, x0b), y1_0b = Avx512BW.MultiplyAddAdjacent(high1, x0b), y2_0b = Avx512BW.MultiplyAddAdjacent(high2, x0b), y3_0b = Avx512BW.MultiplyAddAdjacent(high3, x0b);
                a0_0 += y0_0b;
                a1_0 += y1_0b;
                a2_0 += y2_0b;
                a3_0 += y3_0b;
                Vector512<sbyte> x1b = Vector512.Create(x[5]).AsSByte();
                Vector512<short> y0_1b = Avx512BW.MultiplyAddAdjacent(high0, x1b), y1_1b = Avx512BW.MultiplyAddAdjacent(high1, x1b), y2_1b = Avx512BW.MultiplyAddAdjacent(high2, x1b), y3_1b = Avx512BW.MultiplyAddAdjacent(high3, x1b);
                a0_1 += y0_1b;
                a1_1 += y1_1b;
                a2_1 += y2_1b;
                a3_1 += y3_1b;
                Vector512<sbyte> x2b = Vector512.Create(x[6]).AsSByte();
                Vector512<short> y0_2b = Avx512BW.MultiplyAddAdjacent(high0, x2b), y1_2b = Avx512BW.MultiplyAddAdjacent(high1, x2b), y2_2b = Avx512BW.MultiplyAddAdjacent(high2, x2b), y3_2b = Avx512BW.MultiplyAddAdjacent(high3, x2b);
                a0_2 += y0_2b;
                a1_2 += y1_2b;
                a2_2 += y2_2b;
                a3_2 += y3_2b;
                Vector512<sbyte> x3b = Vector512.Create(x[7]).AsSByte();
                Vector512<short> y0_3b = Avx512BW.MultiplyAddAdjacent(high0, x3b), y1_3b = Avx512BW.MultiplyAddAdjacent(high1, x3b), y2_3b = Avx512BW.MultiplyAddAdjacent(high2, x3b), y3_3b = Avx512BW.MultiplyAddAdjacent(high3, x3b);
                a0_3 += y0_3b;
                a1_3 += y1_3b;
                a2_3 += y2_3b;
                a3_3 += y3_3b;
                w0 += 64;
                w1 += 64;
                w2 += 64;
                w3 += 64;
                x += 8;
            }

            float* xScale = (float*)tile, xSum = xScale + 4;
            Vector512<float> scale0 = Vector512.Create(xScale[0]), sum0 = Vector512.Create(-xSum[0]);
            Avx512F.FusedMultiplyAdd(m0, sum0, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_0, ones)), s0 * scale0, Vector512.Load(result))).Store(result);
            Avx512F.FusedMultiplyAdd(m1, sum0, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_0, ones)), s1 * scale0, Vector512.Load(result + 16))).Store(result + 16);
            Avx512F.FusedMultiplyAdd(m2, sum0, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a2_0, ones)), s2 * scale0, Vector512.Load(result + 32))).Store(result + 32);
            Avx512F.FusedMultiplyAdd(m3, sum0, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a3_0, ones)), s3 * scale0, Vector512.Load(result + 48))).Store(result + 48);
            Vector512<float> scale1 = Vector512.Create(xScale[1]), sum1 = Vector512.Create(-xSum[1]);
            Avx512F.FusedMultiplyAdd(m0, sum1, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_1, ones)), s0 * scale1, Vector512.Load(result + 64))).Store(result + 64);
            Avx512F.FusedMultiplyAdd(m1, sum1, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_1, ones)), s1 * scale1, Vector512.Load(result + 80))).Store(result + 80);
            Avx512F.FusedMultiplyAdd(m2, sum1, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a2_1, ones)), s2 * scale1, Vector512.Load(result + 96))).Store(result + 96);
            Avx512F.FusedMultiplyAdd(m3, sum1, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a3_1, ones)), s3 * scale1, Vector512.Load(result + 112))).Store(result + 112);
            Vector512<float> scale2 = Vector512.Create(xScale[2]), sum2 = Vector512.Create(-xSum[2]);
            Avx512F.FusedMultiplyAdd(m0, sum2, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_2, ones)), s0 * scale2, Vector512.Load(result + 128))).Store(result + 128);
            Avx512F.FusedMultiplyAdd(m1, sum2, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_2, ones)), s1 * scale2, Vector512.Load(result + 144))).Store(result + 144);
            Avx512F.FusedMultiplyAdd(m2, sum2, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a2_2, ones)), s2 * scale2, Vector512.Load(result + 160))).Store(result + 160);
            Avx512F.FusedMultiplyAdd(m3, sum2, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a3_2, ones)), s3 * scale2, Vector512.Load(result + 176))).Store(result + 176);
            Vector512<float> scale3 = Vector512.Create(xScale[3]), sum3 = Vector512.Create(-xSum[3]);
            Avx512F.FusedMultiplyAdd(m0, sum3, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_3, ones)), s0 * scale3, Vector512.Load(result + 192))).Store(result + 192);
            Avx512F.FusedMultiplyAdd(m1, sum3, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_3, ones)), s1 * scale3, Vector512.Load(result + 208))).Store(result + 208);
            Avx512F.FusedMultiplyAdd(m2, sum3, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a2_3, ones)), s2 * scale3, Vector512.Load(result + 224))).Store(result + 224);
            Avx512F.FusedMultiplyAdd(m3, sum3, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a3_3, ones)), s3 * scale3, Vector512.Load(result + 240))).Store(result + 240);
            tile += QuantizedTiles.BytesGroupBytes * 4;
            if (odd != 0)
            {
                p0 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes);
                p1 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes);
                p2 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes);
                p3 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Int4Pair2x12(in PanelGroup panels, int groups, byte* tile, float* result)
    {
        byte* p0 = panels.P0, p1 = panels.P1;
        Vector512<byte> nibble = Vector512.Create((byte)0x0F);
        Vector512<short> ones = Vector512<short>.One;
        Vector512<float> d0 = Vector512.Load((float*)p0), d1 = Vector512.Load((float*)p1);
        Vector512<float> dm0 = Vector512.Load((float*)p0 + 16), dm1 = Vector512.Load((float*)p1 + 16);
        p0 += PackedMatrix.Int4RowBytes;
        p1 += PackedMatrix.Int4RowBytes;
        Vector512<float>.Zero.Store(result);
        Vector512<float>.Zero.Store(result + 16);
        Vector512<float>.Zero.Store(result + 32);
        Vector512<float>.Zero.Store(result + 48);
        Vector512<float>.Zero.Store(result + 64);
        Vector512<float>.Zero.Store(result + 80);
        Vector512<float>.Zero.Store(result + 96);
        Vector512<float>.Zero.Store(result + 112);
        Vector512<float>.Zero.Store(result + 128);
        Vector512<float>.Zero.Store(result + 144);
        Vector512<float>.Zero.Store(result + 160);
        Vector512<float>.Zero.Store(result + 176);
        Vector512<float>.Zero.Store(result + 192);
        Vector512<float>.Zero.Store(result + 208);
        Vector512<float>.Zero.Store(result + 224);
        Vector512<float>.Zero.Store(result + 240);
        Vector512<float>.Zero.Store(result + 256);
        Vector512<float>.Zero.Store(result + 272);
        Vector512<float>.Zero.Store(result + 288);
        Vector512<float>.Zero.Store(result + 304);
        Vector512<float>.Zero.Store(result + 320);
        Vector512<float>.Zero.Store(result + 336);
        Vector512<float>.Zero.Store(result + 352);
        Vector512<float>.Zero.Store(result + 368);

        for (int group = 0; group < groups; group++)
        {
            // A pair of groups shares one cache line of scales, at the front.
            int odd = group & 1;
            Vector512<float> s0 = d0 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p0 + (odd * 32)))), s1 = d1 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p1 + (odd * 32))));
            Vector512<float> m0 = dm0 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p0 + (odd * 32) + 16))), m1 = dm1 * Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p1 + (odd * 32) + 16)));
            byte* w0 = p0 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes), w1 = p1 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes);
            int* x = (int*)(tile + (QuantizedTiles.BytesHeader * 12));
            Vector512<short> a0_0 = Vector512<short>.Zero, a1_0 = Vector512<short>.Zero;
            Vector512<short> a0_1 = Vector512<short>.Zero, a1_1 = Vector512<short>.Zero;
            Vector512<short> a0_2 = Vector512<short>.Zero, a1_2 = Vector512<short>.Zero;
            Vector512<short> a0_3 = Vector512<short>.Zero, a1_3 = Vector512<short>.Zero;
            Vector512<short> a0_4 = Vector512<short>.Zero, a1_4 = Vector512<short>.Zero;
            Vector512<short> a0_5 = Vector512<short>.Zero, a1_5 = Vector512<short>.Zero;
            Vector512<short> a0_6 = Vector512<short>.Zero, a1_6 = Vector512<short>.Zero;
            Vector512<short> a0_7 = Vector512<short>.Zero, a1_7 = Vector512<short>.Zero;
            Vector512<short> a0_8 = Vector512<short>.Zero, a1_8 = Vector512<short>.Zero;
            Vector512<short> a0_9 = Vector512<short>.Zero, a1_9 = Vector512<short>.Zero;
            Vector512<short> a0_10 = Vector512<short>.Zero, a1_10 = Vector512<short>.Zero;
            Vector512<short> a0_11 = Vector512<short>.Zero, a1_11 = Vector512<short>.Zero;
            for (int step = 0; step < 4; step++)
            {
                Sse.Prefetch0((byte*)x + TilePrefetchBytes);
                Sse.Prefetch0((byte*)x + TilePrefetchBytes + 64);
                Vector512<byte> q0 = Vector512.Load(w0), q1 = Vector512.Load(w1);
                Vector512<byte> low0 = q0 & nibble, low1 = q1 & nibble;
                Vector512<byte> high0 = (q0.AsUInt16() >> 4).AsByte() & nibble, high1 = (q1.AsUInt16() >> 4).AsByte() & nibble;
                Vector512<sbyte> x0a = Vector512.Create(x[0]).AsSByte();
                Vector512<short> y0_0a = Avx512BW.MultiplyAddAdjacent(low0, x0a), y1_0a = Avx512BW.MultiplyAddAdjacent(low1, x0a);
                a0_0 += y0_0a;
                a1_0 += y1_0a;
                Vector512<sbyte> x1a = Vector512.Create(x[1]).AsSByte();
                Vector512<short> y0_1a = Avx512BW.MultiplyAddAdjacent(low0, x1a), y1_1a = Avx512BW.MultiplyAddAdjacent(low1, x1a);
                a0_1 += y0_1a;
                a1_1 += y1_1a;
                Vector512<sbyte> x2a = Vector512.Create(x[2]).AsSByte();
                Vector512<short> y0_2a = Avx512BW.MultiplyAddAdjacent(low0, x2a), y1_2a = Avx512BW.MultiplyAddAdjacent(low1, x2a);
                a0_2 += y0_2a;
                a1_2 += y1_2a;
                Vector512<sbyte> x3a = Vector512.Create(x[3]).AsSByte();
                Vector512<short> y0_3a = Avx512BW.MultiplyAddAdjacent(low0, x3a), y1_3a = Avx512BW.MultiplyAddAdjacent(low1, x3a);
                a0_3 += y0_3a;
                a1_3 += y1_3a;
                Vector512<sbyte> x4a = Vector512.Create(x[4]).AsSByte();
                Vector512<short> y0_4a = Avx512BW.MultiplyAddAdjacent(low0, x4a), y1_4a = Avx512BW.MultiplyAddAdjacent(low1, x4a);
                a0_4 += y0_4a;
                a1_4 += y1_4a;
                Vector512<sbyte> x5a = Vector512.Create(x[5]).AsSByte();
                Vector512<short> y0_5a = Avx512BW.MultiplyAddAdjacent(low0, x5a), y1_5a = Avx512BW.MultiplyAddAdjacent(low1, x5a);
                a0_5 += y0_5a;
                a1_5 += y1_5a;
                Vector512<sbyte> x6a = Vector512.Create(x[6]).AsSByte();
                Vector512<short> y0_6a = Avx512BW.MultiplyAddAdjacent(low0, x6a), y1_6a = Avx512BW.MultiplyAddAdjacent(low1, x6a);
                a0_6 += y0_6a;
                a1_6 += y1_6a;
                Vector512<sbyte> x7a = Vector512.Create(x[7]).AsSByte();
                Vector512<short> y0_7a = Avx512BW.MultiplyAddAdjacent(low0, x7a), y1_7a = Avx512BW.MultiplyAddAdjacent(low1, x7a);
                a0_7 += y0_7a;
                a1_7 += y1_7a;
                Vector512<sbyte> x8a = Vector512.Create(x[8]).AsSByte();
                Vector512<short> y0_8a = Avx512BW.MultiplyAddAdjacent(low0, x8a), y1_8a = Avx512BW.MultiplyAddAdjacent(low1, x8a);
                a0_8 += y0_8a;
                a1_8 += y1_8a;
                Vector512<sbyte> x9a = Vector512.Create(x[9]).AsSByte();
                Vector512<short> y0_9a = Avx512BW.MultiplyAddAdjacent(low0, x9a), y1_9a = Avx512BW.MultiplyAddAdjacent(low1, x9a);
                a0_9 += y0_9a;
                a1_9 += y1_9a;
                Vector512<sbyte> x10a = Vector512.Create(x[10]).AsSByte();
                Vector512<short> y0_10a = Avx512BW.MultiplyAddAdjacent(low0, x10a), y1_10a = Avx512BW.MultiplyAddAdjacent(low1, x10a);
                a0_10 += y0_10a;
                a1_10 += y1_10a;
                Vector512<sbyte> x11a = Vector512.Create(x[11]).AsSByte();
                Vector512<short> y0_11a = Avx512BW.MultiplyAddAdjacent(low0, x11a), y1_11a = Avx512BW.MultiplyAddAdjacent(low1, x11a);
                a0_11 += y0_11a;
                a1_11 += y1_11a;
                Vector512<sbyte> x0b = Vector512.Create(x[12]).AsSByte();
                Vector512<short> y0_0b = Avx512BW.MultiplyAddAdjacent(high0, x0b), y1_0b = Avx512BW.MultiplyAddAdjacent(high1, x0b);
                a0_0 += y0_0b;
                a1_0 += y1_0b;
                Vector512<sbyte> x1b = Vector512.Create(x[13]).AsSByte();
                Vector512<short> y0_1b = Avx512BW.MultiplyAddAdjacent(high0, x1b), y1_1b = Avx512BW.MultiplyAddAdjacent(high1, x1b);
                a0_1 += y0_1b;
                a1_1 += y1_1b;
                Vector512<sbyte> x2b = Vector512.Create(x[14]).AsSByte();
                Vector512<short> y0_2b = Avx512BW.MultiplyAddAdjacent(high0, x2b), y1_2b = Avx512BW.MultiplyAddAdjacent(high1, x2b);
                a0_2 += y0_2b;
                a1_2 += y1_2b;
                Vector512<sbyte> x3b = Vector512.Create(x[15]).AsSByte();
                Vector512<short> y0_3b = Avx512BW.MultiplyAddAdjacent(high0, x3b), y1_3b = Avx512BW.MultiplyAddAdjacent(high1, x3b);
                a0_3 += y0_3b;
                a1_3 += y1_3b;
                Vector512<sbyte> x4b = Vector512.Create(x[16]).AsSByte();
                Vector512<short> y0_4b = Avx512BW.MultiplyAddAdjacent(high0, x4b), y1_4b = Avx512BW.MultiplyAddAdjacent(high1, x4b);
                a0_4 += y0_4b;
                a1_4 += y1_4b;
                Vector512<sbyte> x5b = Vector512.Create(x[17]).AsSByte();
                Vector512<short> y0_5b = Avx512BW.MultiplyAddAdjacent(high0, x5b), y1_5b = Avx512BW.MultiplyAddAdjacent(high1, x5b);
                a0_5 += y0_5b;
                a1_5 += y1_5b;
                Vector512<sbyte> x6b = Vector512.Create(x[18]).AsSByte();
                Vector512<short> y0_6b = Avx512BW.MultiplyAddAdjacent(high0, x6b), y1_6b = Avx512BW.MultiplyAddAdjacent(high1, x6b);
                a0_6 += y0_6b;
                a1_6 += y1_6b;
                Vector512<sbyte> x7b = Vector512.Create(x[19]).AsSByte();
                Vector512<short> y0_7b = Avx512BW.MultiplyAddAdjacent(high0, x7b), y1_7b = Avx512BW.MultiplyAddAdjacent(high1, x7b);
                a0_7 += y0_7b;
                a1_7 += y1_7b;
                Vector512<sbyte> x8b = Vector512.Create(x[20]).AsSByte();
                Vector512<short> y0_8b = Avx512BW.MultiplyAddAdjacent(high0, x8b), y1_8b = Avx512BW.MultiplyAddAdjacent(high1, x8b);
                a0_8 += y0_8b;
                a1_8 += y1_8b;
                Vector512<sbyte> x9b = Vector512.Create(x[21]).AsSByte();
                Vector512<short> y0_9b = Avx512BW.MultiplyAddAdjacent(high0, x9b), y1_9b = Avx512BW.MultiplyAddAdjacent(high1, x9b);
                a0_9 += y0_9b;
                a1_9 += y1_9b;
                Vector512<sbyte> x10b = Vector512.Create(x[22]).AsSByte();
                Vector512<short> y0_10b = Avx512BW.MultiplyAddAdjacent(high0, x10b), y1_10b = Avx512BW.MultiplyAddAdjacent(high1, x10b);
                a0_10 += y0_10b;
                a1_10 += y1_10b;
                Vector512<sbyte> x11b = Vector512.Create(x[23]).AsSByte();
                Vector512<short> y0_11b = Avx512BW.MultiplyAddAdjacent(high0, x11b), y1_11b = Avx512BW.MultiplyAddAdjacent(high1, x11b);
                a0_11 += y0_11b;
                a1_11 += y1_11b;
                w0 += 64;
                w1 += 64;
                x += 24;
            }

            float* xScale = (float*)tile, xSum = xScale + 12;
            Vector512<float> scale0 = Vector512.Create(xScale[0]), sum0 = Vector512.Create(-xSum[0]);
            Avx512F.FusedMultiplyAdd(m0, sum0, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_0, ones)), s0 * scale0, Vector512.Load(result))).Store(result);
            Avx512F.FusedMultiplyAdd(m1, sum0, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_0, ones)), s1 * scale0, Vector512.Load(result + 16))).Store(result + 16);
            Vector512<float> scale1 = Vector512.Create(xScale[1]), sum1 = Vector512.Create(-xSum[1]);
            Avx512F.FusedMultiplyAdd(m0, sum1, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_1, ones)), s0 * scale1, Vector512.Load(result + 32))).Store(result + 32);
            Avx512F.FusedMultiplyAdd(m1, sum1, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_1, ones)), s1 * scale1, Vector512.Load(result + 48))).Store(result + 48);
            Vector512<float> scale2 = Vector512.Create(xScale[2]), sum2 = Vector512.Create(-xSum[2]);
            Avx512F.FusedMultiplyAdd(m0, sum2, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_2, ones)), s0 * scale2, Vector512.Load(result + 64))).Store(result + 64);
            Avx512F.FusedMultiplyAdd(m1, sum2, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_2, ones)), s1 * scale2, Vector512.Load(result + 80))).Store(result + 80);
            Vector512<float> scale3 = Vector512.Create(xScale[3]), sum3 = Vector512.Create(-xSum[3]);
            Avx512F.FusedMultiplyAdd(m0, sum3, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_3, ones)), s0 * scale3, Vector512.Load(result + 96))).Store(result + 96);
            Avx512F.FusedMultiplyAdd(m1, sum3, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_3, ones)), s1 * scale3, Vector512.Load(result + 112))).Store(result + 112);
            Vector512<float> scale4 = Vector512.Create(xScale[4]), sum4 = Vector512.Create(-xSum[4]);
            Avx512F.FusedMultiplyAdd(m0, sum4, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_4, ones)), s0 * scale4, Vector512.Load(result + 128))).Store(result + 128);
            Avx512F.FusedMultiplyAdd(m1, sum4, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_4, ones)), s1 * scale4, Vector512.Load(result + 144))).Store(result + 144);
            Vector512<float> scale5 = Vector512.Create(xScale[5]), sum5 = Vector512.Create(-xSum[5]);
            Avx512F.FusedMultiplyAdd(m0, sum5, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_5, ones)), s0 * scale5, Vector512.Load(result + 160))).Store(result + 160);
            Avx512F.FusedMultiplyAdd(m1, sum5, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_5, ones)), s1 * scale5, Vector512.Load(result + 176))).Store(result + 176);
            Vector512<float> scale6 = Vector512.Create(xScale[6]), sum6 = Vector512.Create(-xSum[6]);
            Avx512F.FusedMultiplyAdd(m0, sum6, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_6, ones)), s0 * scale6, Vector512.Load(result + 192))).Store(result + 192);
            Avx512F.FusedMultiplyAdd(m1, sum6, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_6, ones)), s1 * scale6, Vector512.Load(result + 208))).Store(result + 208);
            Vector512<float> scale7 = Vector512.Create(xScale[7]), sum7 = Vector512.Create(-xSum[7]);
            Avx512F.FusedMultiplyAdd(m0, sum7, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_7, ones)), s0 * scale7, Vector512.Load(result + 224))).Store(result + 224);
            Avx512F.FusedMultiplyAdd(m1, sum7, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_7, ones)), s1 * scale7, Vector512.Load(result + 240))).Store(result + 240);
            Vector512<float> scale8 = Vector512.Create(xScale[8]), sum8 = Vector512.Create(-xSum[8]);
            Avx512F.FusedMultiplyAdd(m0, sum8, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_8, ones)), s0 * scale8, Vector512.Load(result + 256))).Store(result + 256);
            Avx512F.FusedMultiplyAdd(m1, sum8, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_8, ones)), s1 * scale8, Vector512.Load(result + 272))).Store(result + 272);
            Vector512<float> scale9 = Vector512.Create(xScale[9]), sum9 = Vector512.Create(-xSum[9]);
            Avx512F.FusedMultiplyAdd(m0, sum9, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_9, ones)), s0 * scale9, Vector512.Load(result + 288))).Store(result + 288);
            Avx512F.FusedMultiplyAdd(m1, sum9, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_9, ones)), s1 * scale9, Vector512.Load(result + 304))).Store(result + 304);
            Vector512<float> scale10 = Vector512.Create(xScale[10]), sum10 = Vector512.Create(-xSum[10]);
            Avx512F.FusedMultiplyAdd(m0, sum10, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_10, ones)), s0 * scale10, Vector512.Load(result + 320))).Store(result + 320);
            Avx512F.FusedMultiplyAdd(m1, sum10, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_10, ones)), s1 * scale10, Vector512.Load(result + 336))).Store(result + 336);
            Vector512<float> scale11 = Vector512.Create(xScale[11]), sum11 = Vector512.Create(-xSum[11]);
            Avx512F.FusedMultiplyAdd(m0, sum11, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a0_11, ones)), s0 * scale11, Vector512.Load(result + 352))).Store(result + 352);
            Avx512F.FusedMultiplyAdd(m1, sum11, Avx512F.FusedMultiplyAdd(Vector512.ConvertToSingle(Avx512BW.MultiplyAddAdjacent(a1_11, ones)), s1 * scale11, Vector512.Load(result + 368))).Store(result + 368);
            tile += QuantizedTiles.BytesGroupBytes * 12;
            if (odd != 0)
            {
                p0 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes);
                p1 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes);
            }
        }
    }
}
