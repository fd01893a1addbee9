using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>128-bit vectors of any machine: a panel's 16 rows are four vectors, one token at a time. Fused where the machine fuses (Arm), else multiply then add.</summary>
internal sealed unsafe class MatMulPortable : MatMulKernel
{
    /// <inheritdoc/>
    public override void Float32(in PanelGroup panels, int cols, float* tile, int width, float* result)
    {
        int count = width == ActivationTiles.Wide ? WidePanels : GroupPanels;
        for (int token = 0; token < width; token++)
        {
            for (int panel = 0; panel < count; panel++)
            {
                Float32Panel((float*)Select(panels, panel), cols, tile + token, width, result + (((token * count) + panel) * PackedMatrix.PanelRows));
            }
        }
    }

    /// <inheritdoc/>
    public override void BFloat16(in PanelGroup panels, int cols, float* tile, int width, float* result)
    {
        int count = width == ActivationTiles.Wide ? WidePanels : GroupPanels;
        for (int token = 0; token < width; token++)
        {
            for (int panel = 0; panel < count; panel++)
            {
                BFloat16Panel((uint*)Select(panels, panel), cols, tile + token, width, result + (((token * count) + panel) * PackedMatrix.PanelRows));
            }
        }
    }

    /// <inheritdoc/>
    public override void Int8(in PanelGroup panels, int groups, byte* tile, int width, float* result)
    {
        int count = width == ActivationTiles.Wide ? WidePanels : GroupPanels;
        for (int token = 0; token < width; token++)
        {
            for (int panel = 0; panel < count; panel++)
            {
                Int8Panel(Select(panels, panel), groups, tile + (token * sizeof(float)), width, result + (((token * count) + panel) * PackedMatrix.PanelRows));
            }
        }
    }

    /// <inheritdoc/>
    public override void Int4(in PanelGroup panels, int groups, byte* tile, int width, float* result)
    {
        int count = width == ActivationTiles.Wide ? WidePanels : GroupPanels;
        for (int token = 0; token < width; token++)
        {
            for (int panel = 0; panel < count; panel++)
            {
                Int4Panel(Select(panels, panel), groups, tile + (token * sizeof(float)), width, result + (((token * count) + panel) * PackedMatrix.PanelRows));
            }
        }
    }

    private static byte* Select(in PanelGroup panels, int panel) => panel switch
    {
        0 => panels.P0,
        1 => panels.P1,
        2 => panels.P2,
        _ => panels.P3,
    };

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Float32Panel(float* p, int cols, float* x, int width, float* result)
    {
        Vector128<float> a0 = default, a1 = default, a2 = default, a3 = default;
        for (int k = 0; k < cols; k++)
        {
            Vector128<float> xk = Vector128.Create(*x);
            a0 = Vector128.MultiplyAddEstimate(Vector128.Load(p), xk, a0);
            a1 = Vector128.MultiplyAddEstimate(Vector128.Load(p + 4), xk, a1);
            a2 = Vector128.MultiplyAddEstimate(Vector128.Load(p + 8), xk, a2);
            a3 = Vector128.MultiplyAddEstimate(Vector128.Load(p + 12), xk, a3);
            p += PackedMatrix.PanelRows;
            x += width;
        }

        Store(result, a0, a1, a2, a3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void BFloat16Panel(uint* p, int cols, float* x, int width, float* result)
    {
        Vector128<uint> upperHalf = Vector128.Create(0xFFFF0000u);
        Vector128<float> a0 = default, a1 = default, a2 = default, a3 = default;
        for (int k = 0; k < cols; k++)
        {
            Vector128<uint> w0 = Vector128.Load(p), w1 = Vector128.Load(p + 4), w2 = Vector128.Load(p + 8), w3 = Vector128.Load(p + 12);
            if (k % 2 == 0)
            {
                (w0, w1, w2, w3) = (w0 << 16, w1 << 16, w2 << 16, w3 << 16);
            }
            else
            {
                (w0, w1, w2, w3) = (w0 & upperHalf, w1 & upperHalf, w2 & upperHalf, w3 & upperHalf);
                p += PackedMatrix.PanelRows;
            }

            Vector128<float> xk = Vector128.Create(*x);
            a0 = Vector128.MultiplyAddEstimate(w0.AsSingle(), xk, a0);
            a1 = Vector128.MultiplyAddEstimate(w1.AsSingle(), xk, a1);
            a2 = Vector128.MultiplyAddEstimate(w2.AsSingle(), xk, a2);
            a3 = Vector128.MultiplyAddEstimate(w3.AsSingle(), xk, a3);
            x += width;
        }

        Store(result, a0, a1, a2, a3);
    }

    private static void Store(float* result, Vector128<float> a0, Vector128<float> a1, Vector128<float> a2, Vector128<float> a3)
    {
        a0.Store(result);
        a1.Store(result + 4);
        a2.Store(result + 8);
        a3.Store(result + 12);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Int8Panel(byte* p, int groups, byte* tile, int width, float* result)
    {
        Vector128<float> f0 = default, f1 = default, f2 = default, f3 = default;
        for (int group = 0; group < groups; group++)
        {
            ushort* scales = (ushort*)p + (group % 2 * PackedMatrix.PanelRows);
            short* w = (short*)(p + PackedMatrix.ScaleLine + (group % 2 * PackedMatrix.Int8GroupBytes));
            int* x = (int*)(tile + (2 * sizeof(float) * width));
            Vector128<int> a0 = default, a1 = default, a2 = default, a3 = default;
            for (int quad = 0; quad < PackedMatrix.GroupSize / 4; quad++)
            {
                Vector128<short> even = Vector128.Create(x[0]).AsInt16(), odd = Vector128.Create(x[width]).AsInt16();
                a0 += FourColumns(Vector128.Load(w), even, odd);
                a1 += FourColumns(Vector128.Load(w + 8), even, odd);
                a2 += FourColumns(Vector128.Load(w + 16), even, odd);
                a3 += FourColumns(Vector128.Load(w + 24), even, odd);
                w += 2 * PackedMatrix.PanelRows;
                x += 2 * width;
            }

            Vector128<float> scale = Vector128.Create(*(float*)tile);
            (Vector128<uint> s0, Vector128<uint> s1) = Vector128.Widen(Vector128.Load(scales));
            (Vector128<uint> s2, Vector128<uint> s3) = Vector128.Widen(Vector128.Load(scales + 8));
            f0 = Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a0), (s0 << 16).AsSingle() * scale, f0);
            f1 = Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a1), (s1 << 16).AsSingle() * scale, f1);
            f2 = Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a2), (s2 << 16).AsSingle() * scale, f2);
            f3 = Vector128.MultiplyAddEstimate(Vector128.ConvertToSingle(a3), (s3 << 16).AsSingle() * scale, f3);
            tile += QuantizedTiles.GroupBytes(WeightFormat.Int8) * width;
            p += group % 2 == 0 ? 0 : PackedMatrix.ScaleLine + (2 * PackedMatrix.Int8GroupBytes);
        }

        Store(result, f0, f1, f2, f3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Int4Panel(byte* p, int groups, byte* tile, int width, float* result)
    {
        float* d = (float*)p, dm = d + PackedMatrix.PanelRows;
        p += PackedMatrix.Int4RowBytes;
        float* f = stackalloc float[PackedMatrix.PanelRows];
        new Span<float>(f, PackedMatrix.PanelRows).Clear();
        int* sums = stackalloc int[PackedMatrix.PanelRows];
        for (int group = 0; group < groups; group++)
        {
            byte* scales = p + (group % 2 * 2 * PackedMatrix.PanelRows);
            byte* w = p + PackedMatrix.ScaleLine + (group % 2 * PackedMatrix.Int4GroupBytes);
            sbyte* x = (sbyte*)(tile + (2 * sizeof(float) * width));
            new Span<int>(sums, PackedMatrix.PanelRows).Clear();
            for (int step = 0; step < PackedMatrix.GroupSize / 8; step++)
            {
                for (int row = 0; row < PackedMatrix.PanelRows; row++)
                {
                    for (int k = 0; k < 4; k++)
                    {
                        int pair = w[(4 * row) + k];
                        sums[row] += ((pair & 0x0F) * x[k]) + ((pair >> 4) * x[(4 * width) + k]);
                    }
                }

                w += 4 * PackedMatrix.PanelRows;
                x += 8 * width;
            }

            float scale = ((float*)tile)[0], sum = ((float*)tile)[width];
            for (int row = 0; row < PackedMatrix.PanelRows; row++)
            {
                f[row] = float.MultiplyAddEstimate(sums[row], d[row] * scales[row] * scale, f[row]);
                f[row] = float.MultiplyAddEstimate(dm[row] * scales[PackedMatrix.PanelRows + row], -sum, f[row]);
            }

            tile += QuantizedTiles.GroupBytes(WeightFormat.Int4) * width;
            p += group % 2 == 0 ? 0 : PackedMatrix.ScaleLine + (2 * PackedMatrix.Int4GroupBytes);
        }

        new ReadOnlySpan<float>(f, PackedMatrix.PanelRows).CopyTo(new Span<float>(result, PackedMatrix.PanelRows));
    }

    /// <summary>Four rows' products with four columns, summed a row; a 16-bit lane of <paramref name="w"/> holds two columns as bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> FourColumns(Vector128<short> w, Vector128<short> even, Vector128<short> odd)
    {
        // 127 * 127 fits 16 bits, the sum of two such products does not.
        Vector128<short> evenProducts = ((w << 8) >> 8) * even, oddProducts = (w >> 8) * odd;
        return (((evenProducts.AsInt32() << 16) >> 16) + (evenProducts.AsInt32() >> 16)) + (((oddProducts.AsInt32() << 16) >> 16) + (oddProducts.AsInt32() >> 16));
    }
}
