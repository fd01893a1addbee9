using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Xlstm.Calibration;

/// <summary>The one product of matrices that calibration is made of, on tiles that lie in cache: <c>c += a b</c>, float32.</summary>
internal static unsafe class TileProduct
{
    /// <summary>Rows and columns of a tile. Matrices are padded with zeros to a multiple of it.</summary>
    public const int Size = 64;

    private const int MicroRows = 8;
    private const int MicroCols = 32;

    /// <summary>c[m, n] += the sum over t of a[m, t] b[t, n].</summary>
    /// <param name="c">[<paramref name="rows"/>, <paramref name="cols"/>].</param>
    /// <param name="cStride">Floats from one row of c to the next.</param>
    /// <param name="a">Element [m, t] is at <c>m aRow + t aCol</c>, so a transposed matrix needs no copy.</param>
    /// <param name="aRow">Floats from one m to the next.</param>
    /// <param name="aCol">Floats from one t to the next.</param>
    /// <param name="b">[<paramref name="terms"/>, <paramref name="cols"/>].</param>
    /// <param name="bStride">Floats from one row of b to the next.</param>
    /// <param name="rows">A multiple of 8.</param>
    /// <param name="cols">A multiple of 32.</param>
    /// <param name="terms">Any number.</param>
    public static void Add(float* c, nint cStride, float* a, nint aRow, nint aCol, float* b, nint bStride, int rows, int cols, int terms)
    {
        for (int n = 0; n < cols; n += MicroCols)
        {
            for (int m = 0; m < rows; m += MicroRows)
            {
                Micro(c + (m * cStride) + n, cStride, a + (m * aRow), aRow, aCol, b + n, bStride, terms);
            }
        }
    }

    // 16 sums in registers: two vectors of b serve eight values of a.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Micro(float* c, nint cStride, float* a, nint aRow, nint aCol, float* b, nint bStride, int terms)
    {
        float* r0 = a, r1 = r0 + aRow, r2 = r1 + aRow, r3 = r2 + aRow, r4 = r3 + aRow, r5 = r4 + aRow, r6 = r5 + aRow, r7 = r6 + aRow;
        Vector512<float> c00 = Vector512.Load(c), c01 = Vector512.Load(c + 16), c10 = Vector512.Load(c + cStride), c11 = Vector512.Load(c + cStride + 16);
        Vector512<float> c20 = Vector512.Load(c + (2 * cStride)), c21 = Vector512.Load(c + (2 * cStride) + 16), c30 = Vector512.Load(c + (3 * cStride)), c31 = Vector512.Load(c + (3 * cStride) + 16);
        Vector512<float> c40 = Vector512.Load(c + (4 * cStride)), c41 = Vector512.Load(c + (4 * cStride) + 16), c50 = Vector512.Load(c + (5 * cStride)), c51 = Vector512.Load(c + (5 * cStride) + 16);
        Vector512<float> c60 = Vector512.Load(c + (6 * cStride)), c61 = Vector512.Load(c + (6 * cStride) + 16), c70 = Vector512.Load(c + (7 * cStride)), c71 = Vector512.Load(c + (7 * cStride) + 16);
        nint at = 0;
        for (int t = 0; t < terms; t++, at += aCol, b += bStride)
        {
            Vector512<float> b0 = Vector512.Load(b), b1 = Vector512.Load(b + 16);
            Vector512<float> v = Vector512.Create(r0[at]);
            c00 = Vector512.MultiplyAddEstimate(v, b0, c00);
            c01 = Vector512.MultiplyAddEstimate(v, b1, c01);
            v = Vector512.Create(r1[at]);
            c10 = Vector512.MultiplyAddEstimate(v, b0, c10);
            c11 = Vector512.MultiplyAddEstimate(v, b1, c11);
            v = Vector512.Create(r2[at]);
            c20 = Vector512.MultiplyAddEstimate(v, b0, c20);
            c21 = Vector512.MultiplyAddEstimate(v, b1, c21);
            v = Vector512.Create(r3[at]);
            c30 = Vector512.MultiplyAddEstimate(v, b0, c30);
            c31 = Vector512.MultiplyAddEstimate(v, b1, c31);
            v = Vector512.Create(r4[at]);
            c40 = Vector512.MultiplyAddEstimate(v, b0, c40);
            c41 = Vector512.MultiplyAddEstimate(v, b1, c41);
            v = Vector512.Create(r5[at]);
            c50 = Vector512.MultiplyAddEstimate(v, b0, c50);
            c51 = Vector512.MultiplyAddEstimate(v, b1, c51);
            v = Vector512.Create(r6[at]);
            c60 = Vector512.MultiplyAddEstimate(v, b0, c60);
            c61 = Vector512.MultiplyAddEstimate(v, b1, c61);
            v = Vector512.Create(r7[at]);
            c70 = Vector512.MultiplyAddEstimate(v, b0, c70);
            c71 = Vector512.MultiplyAddEstimate(v, b1, c71);
        }

        c00.Store(c);
        c01.Store(c + 16);
        c10.Store(c + cStride);
        c11.Store(c + cStride + 16);
        c20.Store(c + (2 * cStride));
        c21.Store(c + (2 * cStride) + 16);
        c30.Store(c + (3 * cStride));
        c31.Store(c + (3 * cStride) + 16);
        c40.Store(c + (4 * cStride));
        c41.Store(c + (4 * cStride) + 16);
        c50.Store(c + (5 * cStride));
        c51.Store(c + (5 * cStride) + 16);
        c60.Store(c + (6 * cStride));
        c61.Store(c + (6 * cStride) + 16);
        c70.Store(c + (7 * cStride));
        c71.Store(c + (7 * cStride) + 16);
    }
}
