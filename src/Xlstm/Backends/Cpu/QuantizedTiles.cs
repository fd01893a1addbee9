using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Xlstm.Backends.Cpu.Kernels;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cpu;

/// <summary>
/// Activations in 8 bits for products with quantized weights: per token and group of 32 columns a float32 scale (largest
/// magnitude / 127) and the integers. A tile of width w holds, group after group, <c>scale[w]</c>, <c>sum[w]</c> (scale times the sum
/// of the integers, which an int4 minimum multiplies) and the integers, each kernel's way:
/// for int8 weights pairs of 16-bit integers <c>[16][w]</c>, columns (0, 2) and (1, 3) of each four; for int4 weights fours of bytes
/// <c>[8][w]</c>.
/// </summary>
internal static unsafe class QuantizedTiles
{
    /// <summary>Bytes of one token.</summary>
    /// <param name="cols">K.</param>
    /// <param name="weights">Int8 or Int4.</param>
    public static int TokenBytes(int cols, WeightFormat weights) => PackedMatrix.GroupCount(cols) * GroupBytes(weights);

    /// <summary>Quantizes a token's row and writes it into its tile, for one or both kinds of weights.</summary>
    /// <param name="tiles">How the tokens are tiled.</param>
    /// <param name="token">In [0, T).</param>
    /// <param name="row">float32 [K].</param>
    /// <param name="cols">K.</param>
    /// <param name="forInt8">Tiles for int8 weights, or null.</param>
    /// <param name="forInt4">Tiles for int4 weights, or null.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void SetRow(ActivationTiles tiles, int token, float* row, int cols, byte* forInt8, byte* forInt4)
    {
        (int first, int width) = tiles.TileOf(token);
        int lane = token - first;
        byte* group8 = forInt8 is null ? null : forInt8 + ((long)first * TokenBytes(cols, WeightFormat.Int8)) + (lane * sizeof(float));
        byte* group4 = forInt4 is null ? null : forInt4 + ((long)first * TokenBytes(cols, WeightFormat.Int4)) + (lane * sizeof(float));
        int* q = stackalloc int[PackedMatrix.GroupSize];
        int groups = PackedMatrix.GroupCount(cols);
        for (int group = 0; group < groups; group++)
        {
            int k = group * PackedMatrix.GroupSize;
            Vector512<float> x0 = k < cols ? VectorMath.Load(row + k, cols - k) : default;
            Vector512<float> x1 = k + VectorMath.Lanes < cols ? VectorMath.Load(row + k + VectorMath.Lanes, cols - k - VectorMath.Lanes) : default;
            float scale = VectorMath.Max(Vector512.Max(Vector512.Abs(x0), Vector512.Abs(x1))) / 127f;
            Vector512<float> inverse = Vector512.Create(scale > 1e-35f ? 1f / scale : 0f);
            Vector512<int> q0 = Vector512.ConvertToInt32(Vector512.Round(x0 * inverse)), q1 = Vector512.ConvertToInt32(Vector512.Round(x1 * inverse));
            q0.Store(q);
            q1.Store(q + VectorMath.Lanes);
            float sum = scale * Vector512.Sum(q0 + q1);
            if (group8 is not null)
            {
                *(float*)group8 = scale;
                *(float*)(group8 + (width * sizeof(float))) = sum;
                int* data = (int*)(group8 + (2 * width * sizeof(float)));
                for (int i = 0; i < PackedMatrix.GroupSize; i += 4)
                {
                    *data = (q[i] & 0xFFFF) | (q[i + 2] << 16);
                    data += width;
                    *data = (q[i + 1] & 0xFFFF) | (q[i + 3] << 16);
                    data += width;
                }

                group8 += (long)width * GroupBytes(WeightFormat.Int8);
            }

            if (group4 is not null)
            {
                *(float*)group4 = scale;
                *(float*)(group4 + (width * sizeof(float))) = sum;
                int* data = (int*)(group4 + (2 * width * sizeof(float)));
                for (int i = 0; i < PackedMatrix.GroupSize; i += 4)
                {
                    *data = (q[i] & 0xFF) | ((q[i + 1] & 0xFF) << 8) | ((q[i + 2] & 0xFF) << 16) | (q[i + 3] << 24);
                    data += width;
                }

                group4 += (long)width * GroupBytes(WeightFormat.Int4);
            }
        }
    }

    /// <summary>Bytes of one token's group.</summary>
    public static int GroupBytes(WeightFormat weights) => (2 * sizeof(float)) + (PackedMatrix.GroupSize * (weights == WeightFormat.Int8 ? sizeof(short) : sizeof(sbyte)));
}
