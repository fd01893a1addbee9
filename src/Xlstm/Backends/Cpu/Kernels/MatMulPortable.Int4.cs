// Written by eng/write-matmul-kernels.py.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>int4 panels: low nibbles and high nibbles, four columns of a row each, are one lane of a dot product.</summary>
internal unsafe partial class MatMulPortable<TDot>
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
        Vector128<byte> nibble = Vector128.Create((byte)0x0F);
        Vector128<float> d0a = Vector128.Load((float*)p0), d0b = Vector128.Load((float*)p0 + 4), d0c = Vector128.Load((float*)p0 + 8), d0d = Vector128.Load((float*)p0 + 12), d1a = Vector128.Load((float*)p1), d1b = Vector128.Load((float*)p1 + 4), d1c = Vector128.Load((float*)p1 + 8), d1d = Vector128.Load((float*)p1 + 12);
        Vector128<float> dm0a = Vector128.Load((float*)p0 + 16), dm0b = Vector128.Load((float*)p0 + 20), dm0c = Vector128.Load((float*)p0 + 24), dm0d = Vector128.Load((float*)p0 + 28), dm1a = Vector128.Load((float*)p1 + 16), dm1b = Vector128.Load((float*)p1 + 20), dm1c = Vector128.Load((float*)p1 + 24), dm1d = Vector128.Load((float*)p1 + 28);
        p0 += PackedMatrix.Int4RowBytes;
        p1 += PackedMatrix.Int4RowBytes;
        Vector128<float>.Zero.Store(result);
        Vector128<float>.Zero.Store(result + 4);
        Vector128<float>.Zero.Store(result + 8);
        Vector128<float>.Zero.Store(result + 12);
        Vector128<float>.Zero.Store(result + 16);
        Vector128<float>.Zero.Store(result + 20);
        Vector128<float>.Zero.Store(result + 24);
        Vector128<float>.Zero.Store(result + 28);

        for (int group = 0; group < groups; group++)
        {
            // A pair of groups shares one cache line of scales, at the front.
            int odd = group & 1;
            Vector128<float> s0a = d0a * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32))).AsByte())).AsInt32()), s0b = d0b * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 4)).AsByte())).AsInt32()), s0c = d0c * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 8)).AsByte())).AsInt32()), s0d = d0d * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 12)).AsByte())).AsInt32()), s1a = d1a * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p1 + (odd * 32))).AsByte())).AsInt32()), s1b = d1b * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p1 + (odd * 32) + 4)).AsByte())).AsInt32()), s1c = d1c * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p1 + (odd * 32) + 8)).AsByte())).AsInt32()), s1d = d1d * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p1 + (odd * 32) + 12)).AsByte())).AsInt32());
            Vector128<float> m0a = dm0a * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 16)).AsByte())).AsInt32()), m0b = dm0b * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 20)).AsByte())).AsInt32()), m0c = dm0c * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 24)).AsByte())).AsInt32()), m0d = dm0d * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 28)).AsByte())).AsInt32()), m1a = dm1a * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p1 + (odd * 32) + 16)).AsByte())).AsInt32()), m1b = dm1b * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p1 + (odd * 32) + 20)).AsByte())).AsInt32()), m1c = dm1c * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p1 + (odd * 32) + 24)).AsByte())).AsInt32()), m1d = dm1d * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p1 + (odd * 32) + 28)).AsByte())).AsInt32());
            byte* w0 = p0 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes), w1 = p1 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes);
            int* x = (int*)(tile + (QuantizedTiles.BytesHeader * 1));
            Vector128<int> a0a_0 = Vector128<int>.Zero, a0b_0 = Vector128<int>.Zero, a0c_0 = Vector128<int>.Zero, a0d_0 = Vector128<int>.Zero, a1a_0 = Vector128<int>.Zero, a1b_0 = Vector128<int>.Zero, a1c_0 = Vector128<int>.Zero, a1d_0 = Vector128<int>.Zero;
            for (int step = 0; step < 4; step++)
            {
                Vector128<sbyte> low0a = (Vector128.Load(w0) & nibble).AsSByte(), low0b = (Vector128.Load(w0 + 16) & nibble).AsSByte(), low0c = (Vector128.Load(w0 + 32) & nibble).AsSByte(), low0d = (Vector128.Load(w0 + 48) & nibble).AsSByte(), low1a = (Vector128.Load(w1) & nibble).AsSByte(), low1b = (Vector128.Load(w1 + 16) & nibble).AsSByte(), low1c = (Vector128.Load(w1 + 32) & nibble).AsSByte(), low1d = (Vector128.Load(w1 + 48) & nibble).AsSByte();
                Vector128<sbyte> x0a = Vector128.Create(x[0]).AsSByte();
                a0a_0 = TDot.MultiplyAdd(a0a_0, low0a, x0a);
                a0b_0 = TDot.MultiplyAdd(a0b_0, low0b, x0a);
                a0c_0 = TDot.MultiplyAdd(a0c_0, low0c, x0a);
                a0d_0 = TDot.MultiplyAdd(a0d_0, low0d, x0a);
                a1a_0 = TDot.MultiplyAdd(a1a_0, low1a, x0a);
                a1b_0 = TDot.MultiplyAdd(a1b_0, low1b, x0a);
                a1c_0 = TDot.MultiplyAdd(a1c_0, low1c, x0a);
                a1d_0 = TDot.MultiplyAdd(a1d_0, low1d, x0a);
                Vector128<sbyte> high0a = (Vector128.Load(w0) >> 4).AsSByte(), high0b = (Vector128.Load(w0 + 16) >> 4).AsSByte(), high0c = (Vector128.Load(w0 + 32) >> 4).AsSByte(), high0d = (Vector128.Load(w0 + 48) >> 4).AsSByte(), high1a = (Vector128.Load(w1) >> 4).AsSByte(), high1b = (Vector128.Load(w1 + 16) >> 4).AsSByte(), high1c = (Vector128.Load(w1 + 32) >> 4).AsSByte(), high1d = (Vector128.Load(w1 + 48) >> 4).AsSByte();
                Vector128<sbyte> x0b = Vector128.Create(x[1]).AsSByte();
                a0a_0 = TDot.MultiplyAdd(a0a_0, high0a, x0b);
                a0b_0 = TDot.MultiplyAdd(a0b_0, high0b, x0b);
                a0c_0 = TDot.MultiplyAdd(a0c_0, high0c, x0b);
                a0d_0 = TDot.MultiplyAdd(a0d_0, high0d, x0b);
                a1a_0 = TDot.MultiplyAdd(a1a_0, high1a, x0b);
                a1b_0 = TDot.MultiplyAdd(a1b_0, high1b, x0b);
                a1c_0 = TDot.MultiplyAdd(a1c_0, high1c, x0b);
                a1d_0 = TDot.MultiplyAdd(a1d_0, high1d, x0b);
                w0 += 64;
                w1 += 64;
                x += 2;
            }

            float* xScale = (float*)tile, xSum = xScale + 1;
            Vector128<float> scale0 = Vector128.Create(xScale[0]), sum0 = Vector128.Create(-xSum[0]);
            Vector128.MultiplyAddEstimate(m0a, sum0, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_0), s0a * scale0, Vector128.Load(result))).Store(result);
            Vector128.MultiplyAddEstimate(m0b, sum0, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_0), s0b * scale0, Vector128.Load(result + 4))).Store(result + 4);
            Vector128.MultiplyAddEstimate(m0c, sum0, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_0), s0c * scale0, Vector128.Load(result + 8))).Store(result + 8);
            Vector128.MultiplyAddEstimate(m0d, sum0, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_0), s0d * scale0, Vector128.Load(result + 12))).Store(result + 12);
            Vector128.MultiplyAddEstimate(m1a, sum0, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a1a_0), s1a * scale0, Vector128.Load(result + 16))).Store(result + 16);
            Vector128.MultiplyAddEstimate(m1b, sum0, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a1b_0), s1b * scale0, Vector128.Load(result + 20))).Store(result + 20);
            Vector128.MultiplyAddEstimate(m1c, sum0, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a1c_0), s1c * scale0, Vector128.Load(result + 24))).Store(result + 24);
            Vector128.MultiplyAddEstimate(m1d, sum0, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a1d_0), s1d * scale0, Vector128.Load(result + 28))).Store(result + 28);
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
        Vector128<byte> nibble = Vector128.Create((byte)0x0F);
        Vector128<float> d0a = Vector128.Load((float*)p0), d0b = Vector128.Load((float*)p0 + 4), d0c = Vector128.Load((float*)p0 + 8), d0d = Vector128.Load((float*)p0 + 12);
        Vector128<float> dm0a = Vector128.Load((float*)p0 + 16), dm0b = Vector128.Load((float*)p0 + 20), dm0c = Vector128.Load((float*)p0 + 24), dm0d = Vector128.Load((float*)p0 + 28);
        p0 += PackedMatrix.Int4RowBytes;
        Vector128<float>.Zero.Store(result);
        Vector128<float>.Zero.Store(result + 4);
        Vector128<float>.Zero.Store(result + 8);
        Vector128<float>.Zero.Store(result + 12);
        Vector128<float>.Zero.Store(result + resultStride);
        Vector128<float>.Zero.Store(result + resultStride + 4);
        Vector128<float>.Zero.Store(result + resultStride + 8);
        Vector128<float>.Zero.Store(result + resultStride + 12);
        Vector128<float>.Zero.Store(result + (2 * resultStride));
        Vector128<float>.Zero.Store(result + (2 * resultStride) + 4);
        Vector128<float>.Zero.Store(result + (2 * resultStride) + 8);
        Vector128<float>.Zero.Store(result + (2 * resultStride) + 12);
        Vector128<float>.Zero.Store(result + (3 * resultStride));
        Vector128<float>.Zero.Store(result + (3 * resultStride) + 4);
        Vector128<float>.Zero.Store(result + (3 * resultStride) + 8);
        Vector128<float>.Zero.Store(result + (3 * resultStride) + 12);

        for (int group = 0; group < groups; group++)
        {
            // A pair of groups shares one cache line of scales, at the front.
            int odd = group & 1;
            Vector128<float> s0a = d0a * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32))).AsByte())).AsInt32()), s0b = d0b * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 4)).AsByte())).AsInt32()), s0c = d0c * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 8)).AsByte())).AsInt32()), s0d = d0d * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 12)).AsByte())).AsInt32());
            Vector128<float> m0a = dm0a * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 16)).AsByte())).AsInt32()), m0b = dm0b * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 20)).AsByte())).AsInt32()), m0c = dm0c * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 24)).AsByte())).AsInt32()), m0d = dm0d * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 28)).AsByte())).AsInt32());
            byte* w0 = p0 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes);
            int* x = (int*)(tile + (QuantizedTiles.BytesHeader * 4));
            Vector128<int> a0a_0 = Vector128<int>.Zero, a0b_0 = Vector128<int>.Zero, a0c_0 = Vector128<int>.Zero, a0d_0 = Vector128<int>.Zero;
            Vector128<int> a0a_1 = Vector128<int>.Zero, a0b_1 = Vector128<int>.Zero, a0c_1 = Vector128<int>.Zero, a0d_1 = Vector128<int>.Zero;
            Vector128<int> a0a_2 = Vector128<int>.Zero, a0b_2 = Vector128<int>.Zero, a0c_2 = Vector128<int>.Zero, a0d_2 = Vector128<int>.Zero;
            Vector128<int> a0a_3 = Vector128<int>.Zero, a0b_3 = Vector128<int>.Zero, a0c_3 = Vector128<int>.Zero, a0d_3 = Vector128<int>.Zero;
            for (int step = 0; step < 4; step++)
            {
                Vector128<sbyte> low0a = (Vector128.Load(w0) & nibble).AsSByte(), low0b = (Vector128.Load(w0 + 16) & nibble).AsSByte(), low0c = (Vector128.Load(w0 + 32) & nibble).AsSByte(), low0d = (Vector128.Load(w0 + 48) & nibble).AsSByte();
                Vector128<sbyte> x0a = Vector128.Create(x[0]).AsSByte();
                a0a_0 = TDot.MultiplyAdd(a0a_0, low0a, x0a);
                a0b_0 = TDot.MultiplyAdd(a0b_0, low0b, x0a);
                a0c_0 = TDot.MultiplyAdd(a0c_0, low0c, x0a);
                a0d_0 = TDot.MultiplyAdd(a0d_0, low0d, x0a);
                Vector128<sbyte> x1a = Vector128.Create(x[1]).AsSByte();
                a0a_1 = TDot.MultiplyAdd(a0a_1, low0a, x1a);
                a0b_1 = TDot.MultiplyAdd(a0b_1, low0b, x1a);
                a0c_1 = TDot.MultiplyAdd(a0c_1, low0c, x1a);
                a0d_1 = TDot.MultiplyAdd(a0d_1, low0d, x1a);
                Vector128<sbyte> x2a = Vector128.Create(x[2]).AsSByte();
                a0a_2 = TDot.MultiplyAdd(a0a_2, low0a, x2a);
                a0b_2 = TDot.MultiplyAdd(a0b_2, low0b, x2a);
                a0c_2 = TDot.MultiplyAdd(a0c_2, low0c, x2a);
                a0d_2 = TDot.MultiplyAdd(a0d_2, low0d, x2a);
                Vector128<sbyte> x3a = Vector128.Create(x[3]).AsSByte();
                a0a_3 = TDot.MultiplyAdd(a0a_3, low0a, x3a);
                a0b_3 = TDot.MultiplyAdd(a0b_3, low0b, x3a);
                a0c_3 = TDot.MultiplyAdd(a0c_3, low0c, x3a);
                a0d_3 = TDot.MultiplyAdd(a0d_3, low0d, x3a);
                Vector128<sbyte> high0a = (Vector128.Load(w0) >> 4).AsSByte(), high0b = (Vector128.Load(w0 + 16) >> 4).AsSByte(), high0c = (Vector128.Load(w0 + 32) >> 4).AsSByte(), high0d = (Vector128.Load(w0 + 48) >> 4).AsSByte();
                Vector128<sbyte> x0b = Vector128.Create(x[4]).AsSByte();
                a0a_0 = TDot.MultiplyAdd(a0a_0, high0a, x0b);
                a0b_0 = TDot.MultiplyAdd(a0b_0, high0b, x0b);
                a0c_0 = TDot.MultiplyAdd(a0c_0, high0c, x0b);
                a0d_0 = TDot.MultiplyAdd(a0d_0, high0d, x0b);
                Vector128<sbyte> x1b = Vector128.Create(x[5]).AsSByte();
                a0a_1 = TDot.MultiplyAdd(a0a_1, high0a, x1b);
                a0b_1 = TDot.MultiplyAdd(a0b_1, high0b, x1b);
                a0c_1 = TDot.MultiplyAdd(a0c_1, high0c, x1b);
                a0d_1 = TDot.MultiplyAdd(a0d_1, high0d, x1b);
                Vector128<sbyte> x2b = Vector128.Create(x[6]).AsSByte();
                a0a_2 = TDot.MultiplyAdd(a0a_2, high0a, x2b);
                a0b_2 = TDot.MultiplyAdd(a0b_2, high0b, x2b);
                a0c_2 = TDot.MultiplyAdd(a0c_2, high0c, x2b);
                a0d_2 = TDot.MultiplyAdd(a0d_2, high0d, x2b);
                Vector128<sbyte> x3b = Vector128.Create(x[7]).AsSByte();
                a0a_3 = TDot.MultiplyAdd(a0a_3, high0a, x3b);
                a0b_3 = TDot.MultiplyAdd(a0b_3, high0b, x3b);
                a0c_3 = TDot.MultiplyAdd(a0c_3, high0c, x3b);
                a0d_3 = TDot.MultiplyAdd(a0d_3, high0d, x3b);
                w0 += 64;
                x += 8;
            }

            float* xScale = (float*)tile, xSum = xScale + 4;
            Vector128<float> scale0 = Vector128.Create(xScale[0]), sum0 = Vector128.Create(-xSum[0]);
            Vector128.MultiplyAddEstimate(m0a, sum0, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_0), s0a * scale0, Vector128.Load(result))).Store(result);
            Vector128.MultiplyAddEstimate(m0b, sum0, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_0), s0b * scale0, Vector128.Load(result + 4))).Store(result + 4);
            Vector128.MultiplyAddEstimate(m0c, sum0, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_0), s0c * scale0, Vector128.Load(result + 8))).Store(result + 8);
            Vector128.MultiplyAddEstimate(m0d, sum0, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_0), s0d * scale0, Vector128.Load(result + 12))).Store(result + 12);
            Vector128<float> scale1 = Vector128.Create(xScale[1]), sum1 = Vector128.Create(-xSum[1]);
            Vector128.MultiplyAddEstimate(m0a, sum1, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_1), s0a * scale1, Vector128.Load(result + resultStride))).Store(result + resultStride);
            Vector128.MultiplyAddEstimate(m0b, sum1, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_1), s0b * scale1, Vector128.Load(result + resultStride + 4))).Store(result + resultStride + 4);
            Vector128.MultiplyAddEstimate(m0c, sum1, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_1), s0c * scale1, Vector128.Load(result + resultStride + 8))).Store(result + resultStride + 8);
            Vector128.MultiplyAddEstimate(m0d, sum1, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_1), s0d * scale1, Vector128.Load(result + resultStride + 12))).Store(result + resultStride + 12);
            Vector128<float> scale2 = Vector128.Create(xScale[2]), sum2 = Vector128.Create(-xSum[2]);
            Vector128.MultiplyAddEstimate(m0a, sum2, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_2), s0a * scale2, Vector128.Load(result + (2 * resultStride)))).Store(result + (2 * resultStride));
            Vector128.MultiplyAddEstimate(m0b, sum2, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_2), s0b * scale2, Vector128.Load(result + (2 * resultStride) + 4))).Store(result + (2 * resultStride) + 4);
            Vector128.MultiplyAddEstimate(m0c, sum2, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_2), s0c * scale2, Vector128.Load(result + (2 * resultStride) + 8))).Store(result + (2 * resultStride) + 8);
            Vector128.MultiplyAddEstimate(m0d, sum2, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_2), s0d * scale2, Vector128.Load(result + (2 * resultStride) + 12))).Store(result + (2 * resultStride) + 12);
            Vector128<float> scale3 = Vector128.Create(xScale[3]), sum3 = Vector128.Create(-xSum[3]);
            Vector128.MultiplyAddEstimate(m0a, sum3, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_3), s0a * scale3, Vector128.Load(result + (3 * resultStride)))).Store(result + (3 * resultStride));
            Vector128.MultiplyAddEstimate(m0b, sum3, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_3), s0b * scale3, Vector128.Load(result + (3 * resultStride) + 4))).Store(result + (3 * resultStride) + 4);
            Vector128.MultiplyAddEstimate(m0c, sum3, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_3), s0c * scale3, Vector128.Load(result + (3 * resultStride) + 8))).Store(result + (3 * resultStride) + 8);
            Vector128.MultiplyAddEstimate(m0d, sum3, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_3), s0d * scale3, Vector128.Load(result + (3 * resultStride) + 12))).Store(result + (3 * resultStride) + 12);
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
        Vector128<byte> nibble = Vector128.Create((byte)0x0F);
        Vector128<float> d0a = Vector128.Load((float*)p0), d0b = Vector128.Load((float*)p0 + 4), d0c = Vector128.Load((float*)p0 + 8), d0d = Vector128.Load((float*)p0 + 12);
        Vector128<float> dm0a = Vector128.Load((float*)p0 + 16), dm0b = Vector128.Load((float*)p0 + 20), dm0c = Vector128.Load((float*)p0 + 24), dm0d = Vector128.Load((float*)p0 + 28);
        p0 += PackedMatrix.Int4RowBytes;
        Vector128<float>.Zero.Store(result);
        Vector128<float>.Zero.Store(result + 4);
        Vector128<float>.Zero.Store(result + 8);
        Vector128<float>.Zero.Store(result + 12);
        Vector128<float>.Zero.Store(result + 32);
        Vector128<float>.Zero.Store(result + 36);
        Vector128<float>.Zero.Store(result + 40);
        Vector128<float>.Zero.Store(result + 44);
        Vector128<float>.Zero.Store(result + 64);
        Vector128<float>.Zero.Store(result + 68);
        Vector128<float>.Zero.Store(result + 72);
        Vector128<float>.Zero.Store(result + 76);
        Vector128<float>.Zero.Store(result + 96);
        Vector128<float>.Zero.Store(result + 100);
        Vector128<float>.Zero.Store(result + 104);
        Vector128<float>.Zero.Store(result + 108);
        Vector128<float>.Zero.Store(result + 128);
        Vector128<float>.Zero.Store(result + 132);
        Vector128<float>.Zero.Store(result + 136);
        Vector128<float>.Zero.Store(result + 140);
        Vector128<float>.Zero.Store(result + 160);
        Vector128<float>.Zero.Store(result + 164);
        Vector128<float>.Zero.Store(result + 168);
        Vector128<float>.Zero.Store(result + 172);

        for (int group = 0; group < groups; group++)
        {
            // A pair of groups shares one cache line of scales, at the front.
            int odd = group & 1;
            Vector128<float> s0a = d0a * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32))).AsByte())).AsInt32()), s0b = d0b * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 4)).AsByte())).AsInt32()), s0c = d0c * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 8)).AsByte())).AsInt32()), s0d = d0d * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 12)).AsByte())).AsInt32());
            Vector128<float> m0a = dm0a * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 16)).AsByte())).AsInt32()), m0b = dm0b * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 20)).AsByte())).AsInt32()), m0c = dm0c * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 24)).AsByte())).AsInt32()), m0d = dm0d * Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)(p0 + (odd * 32) + 28)).AsByte())).AsInt32());
            byte* w0 = p0 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int4GroupBytes);
            int* x = (int*)(tile + (QuantizedTiles.BytesHeader * 12));
            Vector128<int> a0a_0 = Vector128<int>.Zero, a0b_0 = Vector128<int>.Zero, a0c_0 = Vector128<int>.Zero, a0d_0 = Vector128<int>.Zero;
            Vector128<int> a0a_1 = Vector128<int>.Zero, a0b_1 = Vector128<int>.Zero, a0c_1 = Vector128<int>.Zero, a0d_1 = Vector128<int>.Zero;
            Vector128<int> a0a_2 = Vector128<int>.Zero, a0b_2 = Vector128<int>.Zero, a0c_2 = Vector128<int>.Zero, a0d_2 = Vector128<int>.Zero;
            Vector128<int> a0a_3 = Vector128<int>.Zero, a0b_3 = Vector128<int>.Zero, a0c_3 = Vector128<int>.Zero, a0d_3 = Vector128<int>.Zero;
            Vector128<int> a0a_4 = Vector128<int>.Zero, a0b_4 = Vector128<int>.Zero, a0c_4 = Vector128<int>.Zero, a0d_4 = Vector128<int>.Zero;
            Vector128<int> a0a_5 = Vector128<int>.Zero, a0b_5 = Vector128<int>.Zero, a0c_5 = Vector128<int>.Zero, a0d_5 = Vector128<int>.Zero;
            for (int step = 0; step < 4; step++)
            {
                Vector128<sbyte> low0a = (Vector128.Load(w0) & nibble).AsSByte(), low0b = (Vector128.Load(w0 + 16) & nibble).AsSByte(), low0c = (Vector128.Load(w0 + 32) & nibble).AsSByte(), low0d = (Vector128.Load(w0 + 48) & nibble).AsSByte();
                Vector128<sbyte> x0a = Vector128.Create(x[0]).AsSByte();
                a0a_0 = TDot.MultiplyAdd(a0a_0, low0a, x0a);
                a0b_0 = TDot.MultiplyAdd(a0b_0, low0b, x0a);
                a0c_0 = TDot.MultiplyAdd(a0c_0, low0c, x0a);
                a0d_0 = TDot.MultiplyAdd(a0d_0, low0d, x0a);
                Vector128<sbyte> x1a = Vector128.Create(x[1]).AsSByte();
                a0a_1 = TDot.MultiplyAdd(a0a_1, low0a, x1a);
                a0b_1 = TDot.MultiplyAdd(a0b_1, low0b, x1a);
                a0c_1 = TDot.MultiplyAdd(a0c_1, low0c, x1a);
                a0d_1 = TDot.MultiplyAdd(a0d_1, low0d, x1a);
                Vector128<sbyte> x2a = Vector128.Create(x[2]).AsSByte();
                a0a_2 = TDot.MultiplyAdd(a0a_2, low0a, x2a);
                a0b_2 = TDot.MultiplyAdd(a0b_2, low0b, x2a);
                a0c_2 = TDot.MultiplyAdd(a0c_2, low0c, x2a);
                a0d_2 = TDot.MultiplyAdd(a0d_2, low0d, x2a);
                Vector128<sbyte> x3a = Vector128.Create(x[3]).AsSByte();
                a0a_3 = TDot.MultiplyAdd(a0a_3, low0a, x3a);
                a0b_3 = TDot.MultiplyAdd(a0b_3, low0b, x3a);
                a0c_3 = TDot.MultiplyAdd(a0c_3, low0c, x3a);
                a0d_3 = TDot.MultiplyAdd(a0d_3, low0d, x3a);
                Vector128<sbyte> x4a = Vector128.Create(x[4]).AsSByte();
                a0a_4 = TDot.MultiplyAdd(a0a_4, low0a, x4a);
                a0b_4 = TDot.MultiplyAdd(a0b_4, low0b, x4a);
                a0c_4 = TDot.MultiplyAdd(a0c_4, low0c, x4a);
                a0d_4 = TDot.MultiplyAdd(a0d_4, low0d, x4a);
                Vector128<sbyte> x5a = Vector128.Create(x[5]).AsSByte();
                a0a_5 = TDot.MultiplyAdd(a0a_5, low0a, x5a);
                a0b_5 = TDot.MultiplyAdd(a0b_5, low0b, x5a);
                a0c_5 = TDot.MultiplyAdd(a0c_5, low0c, x5a);
                a0d_5 = TDot.MultiplyAdd(a0d_5, low0d, x5a);
                Vector128<sbyte> high0a = (Vector128.Load(w0) >> 4).AsSByte(), high0b = (Vector128.Load(w0 + 16) >> 4).AsSByte(), high0c = (Vector128.Load(w0 + 32) >> 4).AsSByte(), high0d = (Vector128.Load(w0 + 48) >> 4).AsSByte();
                Vector128<sbyte> x0b = Vector128.Create(x[12]).AsSByte();
                a0a_0 = TDot.MultiplyAdd(a0a_0, high0a, x0b);
                a0b_0 = TDot.MultiplyAdd(a0b_0, high0b, x0b);
                a0c_0 = TDot.MultiplyAdd(a0c_0, high0c, x0b);
                a0d_0 = TDot.MultiplyAdd(a0d_0, high0d, x0b);
                Vector128<sbyte> x1b = Vector128.Create(x[13]).AsSByte();
                a0a_1 = TDot.MultiplyAdd(a0a_1, high0a, x1b);
                a0b_1 = TDot.MultiplyAdd(a0b_1, high0b, x1b);
                a0c_1 = TDot.MultiplyAdd(a0c_1, high0c, x1b);
                a0d_1 = TDot.MultiplyAdd(a0d_1, high0d, x1b);
                Vector128<sbyte> x2b = Vector128.Create(x[14]).AsSByte();
                a0a_2 = TDot.MultiplyAdd(a0a_2, high0a, x2b);
                a0b_2 = TDot.MultiplyAdd(a0b_2, high0b, x2b);
                a0c_2 = TDot.MultiplyAdd(a0c_2, high0c, x2b);
                a0d_2 = TDot.MultiplyAdd(a0d_2, high0d, x2b);
                Vector128<sbyte> x3b = Vector128.Create(x[15]).AsSByte();
                a0a_3 = TDot.MultiplyAdd(a0a_3, high0a, x3b);
                a0b_3 = TDot.MultiplyAdd(a0b_3, high0b, x3b);
                a0c_3 = TDot.MultiplyAdd(a0c_3, high0c, x3b);
                a0d_3 = TDot.MultiplyAdd(a0d_3, high0d, x3b);
                Vector128<sbyte> x4b = Vector128.Create(x[16]).AsSByte();
                a0a_4 = TDot.MultiplyAdd(a0a_4, high0a, x4b);
                a0b_4 = TDot.MultiplyAdd(a0b_4, high0b, x4b);
                a0c_4 = TDot.MultiplyAdd(a0c_4, high0c, x4b);
                a0d_4 = TDot.MultiplyAdd(a0d_4, high0d, x4b);
                Vector128<sbyte> x5b = Vector128.Create(x[17]).AsSByte();
                a0a_5 = TDot.MultiplyAdd(a0a_5, high0a, x5b);
                a0b_5 = TDot.MultiplyAdd(a0b_5, high0b, x5b);
                a0c_5 = TDot.MultiplyAdd(a0c_5, high0c, x5b);
                a0d_5 = TDot.MultiplyAdd(a0d_5, high0d, x5b);
                w0 += 64;
                x += 24;
            }

            float* xScale = (float*)tile, xSum = xScale + 12;
            Vector128<float> scale0 = Vector128.Create(xScale[0]), sum0 = Vector128.Create(-xSum[0]);
            Vector128.MultiplyAddEstimate(m0a, sum0, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_0), s0a * scale0, Vector128.Load(result))).Store(result);
            Vector128.MultiplyAddEstimate(m0b, sum0, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_0), s0b * scale0, Vector128.Load(result + 4))).Store(result + 4);
            Vector128.MultiplyAddEstimate(m0c, sum0, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_0), s0c * scale0, Vector128.Load(result + 8))).Store(result + 8);
            Vector128.MultiplyAddEstimate(m0d, sum0, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_0), s0d * scale0, Vector128.Load(result + 12))).Store(result + 12);
            Vector128<float> scale1 = Vector128.Create(xScale[1]), sum1 = Vector128.Create(-xSum[1]);
            Vector128.MultiplyAddEstimate(m0a, sum1, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_1), s0a * scale1, Vector128.Load(result + 32))).Store(result + 32);
            Vector128.MultiplyAddEstimate(m0b, sum1, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_1), s0b * scale1, Vector128.Load(result + 36))).Store(result + 36);
            Vector128.MultiplyAddEstimate(m0c, sum1, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_1), s0c * scale1, Vector128.Load(result + 40))).Store(result + 40);
            Vector128.MultiplyAddEstimate(m0d, sum1, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_1), s0d * scale1, Vector128.Load(result + 44))).Store(result + 44);
            Vector128<float> scale2 = Vector128.Create(xScale[2]), sum2 = Vector128.Create(-xSum[2]);
            Vector128.MultiplyAddEstimate(m0a, sum2, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_2), s0a * scale2, Vector128.Load(result + 64))).Store(result + 64);
            Vector128.MultiplyAddEstimate(m0b, sum2, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_2), s0b * scale2, Vector128.Load(result + 68))).Store(result + 68);
            Vector128.MultiplyAddEstimate(m0c, sum2, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_2), s0c * scale2, Vector128.Load(result + 72))).Store(result + 72);
            Vector128.MultiplyAddEstimate(m0d, sum2, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_2), s0d * scale2, Vector128.Load(result + 76))).Store(result + 76);
            Vector128<float> scale3 = Vector128.Create(xScale[3]), sum3 = Vector128.Create(-xSum[3]);
            Vector128.MultiplyAddEstimate(m0a, sum3, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_3), s0a * scale3, Vector128.Load(result + 96))).Store(result + 96);
            Vector128.MultiplyAddEstimate(m0b, sum3, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_3), s0b * scale3, Vector128.Load(result + 100))).Store(result + 100);
            Vector128.MultiplyAddEstimate(m0c, sum3, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_3), s0c * scale3, Vector128.Load(result + 104))).Store(result + 104);
            Vector128.MultiplyAddEstimate(m0d, sum3, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_3), s0d * scale3, Vector128.Load(result + 108))).Store(result + 108);
            Vector128<float> scale4 = Vector128.Create(xScale[4]), sum4 = Vector128.Create(-xSum[4]);
            Vector128.MultiplyAddEstimate(m0a, sum4, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_4), s0a * scale4, Vector128.Load(result + 128))).Store(result + 128);
            Vector128.MultiplyAddEstimate(m0b, sum4, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_4), s0b * scale4, Vector128.Load(result + 132))).Store(result + 132);
            Vector128.MultiplyAddEstimate(m0c, sum4, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_4), s0c * scale4, Vector128.Load(result + 136))).Store(result + 136);
            Vector128.MultiplyAddEstimate(m0d, sum4, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_4), s0d * scale4, Vector128.Load(result + 140))).Store(result + 140);
            Vector128<float> scale5 = Vector128.Create(xScale[5]), sum5 = Vector128.Create(-xSum[5]);
            Vector128.MultiplyAddEstimate(m0a, sum5, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_5), s0a * scale5, Vector128.Load(result + 160))).Store(result + 160);
            Vector128.MultiplyAddEstimate(m0b, sum5, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_5), s0b * scale5, Vector128.Load(result + 164))).Store(result + 164);
            Vector128.MultiplyAddEstimate(m0c, sum5, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_5), s0c * scale5, Vector128.Load(result + 168))).Store(result + 168);
            Vector128.MultiplyAddEstimate(m0d, sum5, Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_5), s0d * scale5, Vector128.Load(result + 172))).Store(result + 172);
            tile += QuantizedTiles.BytesGroupBytes * 12;
            if (odd != 0)
            {
                p0 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes);
            }
        }
    }
}
