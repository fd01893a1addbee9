// Written by eng/write-matmul-kernels.py.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>int8 panels: four columns of a row are one lane of a dot product.</summary>
internal unsafe partial class MatMulPortable<TDot>
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
            Vector128<float> s0a = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32))).AsUInt16()) << 16).AsSingle(), s0b = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 8)).AsUInt16()) << 16).AsSingle(), s0c = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 16)).AsUInt16()) << 16).AsSingle(), s0d = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 24)).AsUInt16()) << 16).AsSingle(), s1a = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)(p1 + (odd * 32))).AsUInt16()) << 16).AsSingle(), s1b = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)(p1 + (odd * 32) + 8)).AsUInt16()) << 16).AsSingle(), s1c = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)(p1 + (odd * 32) + 16)).AsUInt16()) << 16).AsSingle(), s1d = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)(p1 + (odd * 32) + 24)).AsUInt16()) << 16).AsSingle();
            byte* w0 = p0 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int8GroupBytes), w1 = p1 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int8GroupBytes);
            int* x = (int*)(tile + (QuantizedTiles.BytesHeader * 1));
            Vector128<int> a0a_0 = Vector128<int>.Zero, a0b_0 = Vector128<int>.Zero, a0c_0 = Vector128<int>.Zero, a0d_0 = Vector128<int>.Zero, a1a_0 = Vector128<int>.Zero, a1b_0 = Vector128<int>.Zero, a1c_0 = Vector128<int>.Zero, a1d_0 = Vector128<int>.Zero;
            for (int step = 0; step < 8; step++)
            {
                Vector128<sbyte> w0a = Vector128.Load(w0).AsSByte(), w0b = Vector128.Load(w0 + 16).AsSByte(), w0c = Vector128.Load(w0 + 32).AsSByte(), w0d = Vector128.Load(w0 + 48).AsSByte(), w1a = Vector128.Load(w1).AsSByte(), w1b = Vector128.Load(w1 + 16).AsSByte(), w1c = Vector128.Load(w1 + 32).AsSByte(), w1d = Vector128.Load(w1 + 48).AsSByte();
                Vector128<sbyte> x0 = Vector128.Create(x[0]).AsSByte();
                a0a_0 = TDot.MultiplyAdd(a0a_0, w0a, x0);
                a0b_0 = TDot.MultiplyAdd(a0b_0, w0b, x0);
                a0c_0 = TDot.MultiplyAdd(a0c_0, w0c, x0);
                a0d_0 = TDot.MultiplyAdd(a0d_0, w0d, x0);
                a1a_0 = TDot.MultiplyAdd(a1a_0, w1a, x0);
                a1b_0 = TDot.MultiplyAdd(a1b_0, w1b, x0);
                a1c_0 = TDot.MultiplyAdd(a1c_0, w1c, x0);
                a1d_0 = TDot.MultiplyAdd(a1d_0, w1d, x0);
                w0 += 64;
                w1 += 64;
                x += 1;
            }

            float* xScale = (float*)tile;
            Vector128<float> scale0 = Vector128.Create(xScale[0]);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_0), s0a * scale0, Vector128.Load(result)).Store(result);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_0), s0b * scale0, Vector128.Load(result + 4)).Store(result + 4);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_0), s0c * scale0, Vector128.Load(result + 8)).Store(result + 8);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_0), s0d * scale0, Vector128.Load(result + 12)).Store(result + 12);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a1a_0), s1a * scale0, Vector128.Load(result + 16)).Store(result + 16);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a1b_0), s1b * scale0, Vector128.Load(result + 20)).Store(result + 20);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a1c_0), s1c * scale0, Vector128.Load(result + 24)).Store(result + 24);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a1d_0), s1d * scale0, Vector128.Load(result + 28)).Store(result + 28);
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
            Vector128<float> s0a = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32))).AsUInt16()) << 16).AsSingle(), s0b = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 8)).AsUInt16()) << 16).AsSingle(), s0c = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 16)).AsUInt16()) << 16).AsSingle(), s0d = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 24)).AsUInt16()) << 16).AsSingle();
            byte* w0 = p0 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int8GroupBytes);
            int* x = (int*)(tile + (QuantizedTiles.BytesHeader * 4));
            Vector128<int> a0a_0 = Vector128<int>.Zero, a0b_0 = Vector128<int>.Zero, a0c_0 = Vector128<int>.Zero, a0d_0 = Vector128<int>.Zero;
            Vector128<int> a0a_1 = Vector128<int>.Zero, a0b_1 = Vector128<int>.Zero, a0c_1 = Vector128<int>.Zero, a0d_1 = Vector128<int>.Zero;
            Vector128<int> a0a_2 = Vector128<int>.Zero, a0b_2 = Vector128<int>.Zero, a0c_2 = Vector128<int>.Zero, a0d_2 = Vector128<int>.Zero;
            Vector128<int> a0a_3 = Vector128<int>.Zero, a0b_3 = Vector128<int>.Zero, a0c_3 = Vector128<int>.Zero, a0d_3 = Vector128<int>.Zero;
            for (int step = 0; step < 8; step++)
            {
                Vector128<sbyte> w0a = Vector128.Load(w0).AsSByte(), w0b = Vector128.Load(w0 + 16).AsSByte(), w0c = Vector128.Load(w0 + 32).AsSByte(), w0d = Vector128.Load(w0 + 48).AsSByte();
                Vector128<sbyte> x0 = Vector128.Create(x[0]).AsSByte();
                a0a_0 = TDot.MultiplyAdd(a0a_0, w0a, x0);
                a0b_0 = TDot.MultiplyAdd(a0b_0, w0b, x0);
                a0c_0 = TDot.MultiplyAdd(a0c_0, w0c, x0);
                a0d_0 = TDot.MultiplyAdd(a0d_0, w0d, x0);
                Vector128<sbyte> x1 = Vector128.Create(x[1]).AsSByte();
                a0a_1 = TDot.MultiplyAdd(a0a_1, w0a, x1);
                a0b_1 = TDot.MultiplyAdd(a0b_1, w0b, x1);
                a0c_1 = TDot.MultiplyAdd(a0c_1, w0c, x1);
                a0d_1 = TDot.MultiplyAdd(a0d_1, w0d, x1);
                Vector128<sbyte> x2 = Vector128.Create(x[2]).AsSByte();
                a0a_2 = TDot.MultiplyAdd(a0a_2, w0a, x2);
                a0b_2 = TDot.MultiplyAdd(a0b_2, w0b, x2);
                a0c_2 = TDot.MultiplyAdd(a0c_2, w0c, x2);
                a0d_2 = TDot.MultiplyAdd(a0d_2, w0d, x2);
                Vector128<sbyte> x3 = Vector128.Create(x[3]).AsSByte();
                a0a_3 = TDot.MultiplyAdd(a0a_3, w0a, x3);
                a0b_3 = TDot.MultiplyAdd(a0b_3, w0b, x3);
                a0c_3 = TDot.MultiplyAdd(a0c_3, w0c, x3);
                a0d_3 = TDot.MultiplyAdd(a0d_3, w0d, x3);
                w0 += 64;
                x += 4;
            }

            float* xScale = (float*)tile;
            Vector128<float> scale0 = Vector128.Create(xScale[0]);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_0), s0a * scale0, Vector128.Load(result)).Store(result);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_0), s0b * scale0, Vector128.Load(result + 4)).Store(result + 4);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_0), s0c * scale0, Vector128.Load(result + 8)).Store(result + 8);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_0), s0d * scale0, Vector128.Load(result + 12)).Store(result + 12);
            Vector128<float> scale1 = Vector128.Create(xScale[1]);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_1), s0a * scale1, Vector128.Load(result + resultStride)).Store(result + resultStride);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_1), s0b * scale1, Vector128.Load(result + resultStride + 4)).Store(result + resultStride + 4);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_1), s0c * scale1, Vector128.Load(result + resultStride + 8)).Store(result + resultStride + 8);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_1), s0d * scale1, Vector128.Load(result + resultStride + 12)).Store(result + resultStride + 12);
            Vector128<float> scale2 = Vector128.Create(xScale[2]);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_2), s0a * scale2, Vector128.Load(result + (2 * resultStride))).Store(result + (2 * resultStride));
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_2), s0b * scale2, Vector128.Load(result + (2 * resultStride) + 4)).Store(result + (2 * resultStride) + 4);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_2), s0c * scale2, Vector128.Load(result + (2 * resultStride) + 8)).Store(result + (2 * resultStride) + 8);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_2), s0d * scale2, Vector128.Load(result + (2 * resultStride) + 12)).Store(result + (2 * resultStride) + 12);
            Vector128<float> scale3 = Vector128.Create(xScale[3]);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_3), s0a * scale3, Vector128.Load(result + (3 * resultStride))).Store(result + (3 * resultStride));
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_3), s0b * scale3, Vector128.Load(result + (3 * resultStride) + 4)).Store(result + (3 * resultStride) + 4);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_3), s0c * scale3, Vector128.Load(result + (3 * resultStride) + 8)).Store(result + (3 * resultStride) + 8);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_3), s0d * scale3, Vector128.Load(result + (3 * resultStride) + 12)).Store(result + (3 * resultStride) + 12);
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
            Vector128<float> s0a = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32))).AsUInt16()) << 16).AsSingle(), s0b = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 8)).AsUInt16()) << 16).AsSingle(), s0c = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 16)).AsUInt16()) << 16).AsSingle(), s0d = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)(p0 + (odd * 32) + 24)).AsUInt16()) << 16).AsSingle();
            byte* w0 = p0 + PackedMatrix.ScaleLine + (odd * PackedMatrix.Int8GroupBytes);
            int* x = (int*)(tile + (QuantizedTiles.BytesHeader * 12));
            Vector128<int> a0a_0 = Vector128<int>.Zero, a0b_0 = Vector128<int>.Zero, a0c_0 = Vector128<int>.Zero, a0d_0 = Vector128<int>.Zero;
            Vector128<int> a0a_1 = Vector128<int>.Zero, a0b_1 = Vector128<int>.Zero, a0c_1 = Vector128<int>.Zero, a0d_1 = Vector128<int>.Zero;
            Vector128<int> a0a_2 = Vector128<int>.Zero, a0b_2 = Vector128<int>.Zero, a0c_2 = Vector128<int>.Zero, a0d_2 = Vector128<int>.Zero;
            Vector128<int> a0a_3 = Vector128<int>.Zero, a0b_3 = Vector128<int>.Zero, a0c_3 = Vector128<int>.Zero, a0d_3 = Vector128<int>.Zero;
            Vector128<int> a0a_4 = Vector128<int>.Zero, a0b_4 = Vector128<int>.Zero, a0c_4 = Vector128<int>.Zero, a0d_4 = Vector128<int>.Zero;
            Vector128<int> a0a_5 = Vector128<int>.Zero, a0b_5 = Vector128<int>.Zero, a0c_5 = Vector128<int>.Zero, a0d_5 = Vector128<int>.Zero;
            for (int step = 0; step < 8; step++)
            {
                Vector128<sbyte> w0a = Vector128.Load(w0).AsSByte(), w0b = Vector128.Load(w0 + 16).AsSByte(), w0c = Vector128.Load(w0 + 32).AsSByte(), w0d = Vector128.Load(w0 + 48).AsSByte();
                Vector128<sbyte> x0 = Vector128.Create(x[0]).AsSByte();
                a0a_0 = TDot.MultiplyAdd(a0a_0, w0a, x0);
                a0b_0 = TDot.MultiplyAdd(a0b_0, w0b, x0);
                a0c_0 = TDot.MultiplyAdd(a0c_0, w0c, x0);
                a0d_0 = TDot.MultiplyAdd(a0d_0, w0d, x0);
                Vector128<sbyte> x1 = Vector128.Create(x[1]).AsSByte();
                a0a_1 = TDot.MultiplyAdd(a0a_1, w0a, x1);
                a0b_1 = TDot.MultiplyAdd(a0b_1, w0b, x1);
                a0c_1 = TDot.MultiplyAdd(a0c_1, w0c, x1);
                a0d_1 = TDot.MultiplyAdd(a0d_1, w0d, x1);
                Vector128<sbyte> x2 = Vector128.Create(x[2]).AsSByte();
                a0a_2 = TDot.MultiplyAdd(a0a_2, w0a, x2);
                a0b_2 = TDot.MultiplyAdd(a0b_2, w0b, x2);
                a0c_2 = TDot.MultiplyAdd(a0c_2, w0c, x2);
                a0d_2 = TDot.MultiplyAdd(a0d_2, w0d, x2);
                Vector128<sbyte> x3 = Vector128.Create(x[3]).AsSByte();
                a0a_3 = TDot.MultiplyAdd(a0a_3, w0a, x3);
                a0b_3 = TDot.MultiplyAdd(a0b_3, w0b, x3);
                a0c_3 = TDot.MultiplyAdd(a0c_3, w0c, x3);
                a0d_3 = TDot.MultiplyAdd(a0d_3, w0d, x3);
                Vector128<sbyte> x4 = Vector128.Create(x[4]).AsSByte();
                a0a_4 = TDot.MultiplyAdd(a0a_4, w0a, x4);
                a0b_4 = TDot.MultiplyAdd(a0b_4, w0b, x4);
                a0c_4 = TDot.MultiplyAdd(a0c_4, w0c, x4);
                a0d_4 = TDot.MultiplyAdd(a0d_4, w0d, x4);
                Vector128<sbyte> x5 = Vector128.Create(x[5]).AsSByte();
                a0a_5 = TDot.MultiplyAdd(a0a_5, w0a, x5);
                a0b_5 = TDot.MultiplyAdd(a0b_5, w0b, x5);
                a0c_5 = TDot.MultiplyAdd(a0c_5, w0c, x5);
                a0d_5 = TDot.MultiplyAdd(a0d_5, w0d, x5);
                w0 += 64;
                x += 12;
            }

            float* xScale = (float*)tile;
            Vector128<float> scale0 = Vector128.Create(xScale[0]);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_0), s0a * scale0, Vector128.Load(result)).Store(result);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_0), s0b * scale0, Vector128.Load(result + 4)).Store(result + 4);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_0), s0c * scale0, Vector128.Load(result + 8)).Store(result + 8);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_0), s0d * scale0, Vector128.Load(result + 12)).Store(result + 12);
            Vector128<float> scale1 = Vector128.Create(xScale[1]);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_1), s0a * scale1, Vector128.Load(result + 32)).Store(result + 32);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_1), s0b * scale1, Vector128.Load(result + 36)).Store(result + 36);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_1), s0c * scale1, Vector128.Load(result + 40)).Store(result + 40);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_1), s0d * scale1, Vector128.Load(result + 44)).Store(result + 44);
            Vector128<float> scale2 = Vector128.Create(xScale[2]);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_2), s0a * scale2, Vector128.Load(result + 64)).Store(result + 64);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_2), s0b * scale2, Vector128.Load(result + 68)).Store(result + 68);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_2), s0c * scale2, Vector128.Load(result + 72)).Store(result + 72);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_2), s0d * scale2, Vector128.Load(result + 76)).Store(result + 76);
            Vector128<float> scale3 = Vector128.Create(xScale[3]);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_3), s0a * scale3, Vector128.Load(result + 96)).Store(result + 96);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_3), s0b * scale3, Vector128.Load(result + 100)).Store(result + 100);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_3), s0c * scale3, Vector128.Load(result + 104)).Store(result + 104);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_3), s0d * scale3, Vector128.Load(result + 108)).Store(result + 108);
            Vector128<float> scale4 = Vector128.Create(xScale[4]);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_4), s0a * scale4, Vector128.Load(result + 128)).Store(result + 128);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_4), s0b * scale4, Vector128.Load(result + 132)).Store(result + 132);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_4), s0c * scale4, Vector128.Load(result + 136)).Store(result + 136);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_4), s0d * scale4, Vector128.Load(result + 140)).Store(result + 140);
            Vector128<float> scale5 = Vector128.Create(xScale[5]);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0a_5), s0a * scale5, Vector128.Load(result + 160)).Store(result + 160);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0b_5), s0b * scale5, Vector128.Load(result + 164)).Store(result + 164);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0c_5), s0c * scale5, Vector128.Load(result + 168)).Store(result + 168);
            Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0d_5), s0d * scale5, Vector128.Load(result + 172)).Store(result + 172);
            tile += QuantizedTiles.BytesGroupBytes * 12;
            if (odd != 0)
            {
                p0 += PackedMatrix.ScaleLine + (2 * PackedMatrix.Int8GroupBytes);
            }
        }
    }
}
