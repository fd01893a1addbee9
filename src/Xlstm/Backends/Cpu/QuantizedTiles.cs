using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Xlstm.Backends.Cpu.Kernels;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cpu;

/// <summary>
/// Activations in 8 bits for products with quantized weights: per token and group of 32 columns a float32 scale (largest
/// magnitude / 127) and the integers. A tile of width w holds them group after group, in one of two forms. Words, for kernels that multiply 16-bit integers:
/// <c>scale[w]</c> and pairs <c>[16][w]</c>, columns (0, 2) and (1, 3) of each four. Bytes, for kernels that multiply bytes: <c>scale[w]</c>, <c>sum[w]</c> (float32, scale
/// times the sum of the integers, which an int4 minimum multiplies), <c>offset[w]</c> (int32, <see cref="FloatBias"/> less 128 times the sum of
/// the integers, for weights that have been made unsigned by adding 128) and fours <c>[8][w]</c>.
/// </summary>
internal static unsafe class QuantizedTiles
{
    /// <summary>The bits of 1.5 * 2^23: an integer below 2^22, added to them, makes the bits of 1.5 * 2^23 plus that integer.</summary>
    public const int FloatBias = 0x4B400000;

    /// <summary>Bytes of one token's group before its integers, as words.</summary>
    public const int WordsHeader = sizeof(float);

    /// <summary>Bytes of one token's group as words.</summary>
    public const int WordsGroupBytes = WordsHeader + (PackedMatrix.GroupSize * sizeof(short));

    /// <summary>Bytes of one token's group before its integers, as bytes.</summary>
    public const int BytesHeader = (2 * sizeof(float)) + sizeof(int);

    /// <summary>Bytes of one token's group as bytes.</summary>
    public const int BytesGroupBytes = BytesHeader + PackedMatrix.GroupSize;

    /// <summary>Bytes of one token.</summary>
    /// <param name="cols">K.</param>
    /// <param name="groupBytes">Bytes of a group in the form.</param>
    public static int TokenBytes(int cols, int groupBytes) => PackedMatrix.GroupCount(cols) * groupBytes;

    /// <summary>Quantizes a token's row and writes it into its tile, in one or both forms.</summary>
    /// <param name="tiles">How the tokens are tiled.</param>
    /// <param name="token">In [0, T).</param>
    /// <param name="row">float32 [K].</param>
    /// <param name="cols">K.</param>
    /// <param name="words">Tiles of words, or null.</param>
    /// <param name="bytes">Tiles of bytes, or null.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void SetRow(ActivationTiles tiles, int token, float* row, int cols, byte* words, byte* bytes)
    {
        (int first, int width) = tiles.TileOf(token);
        int lane = token - first;
        byte* wordGroup = words is null ? null : words + ((long)first * TokenBytes(cols, WordsGroupBytes)) + (lane * sizeof(float));
        byte* byteGroup = bytes is null ? null : bytes + ((long)first * TokenBytes(cols, BytesGroupBytes)) + (lane * sizeof(float));
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
            if (wordGroup is not null)
            {
                *(float*)wordGroup = scale;
                int* data = (int*)(wordGroup + (WordsHeader * width));
                for (int i = 0; i < PackedMatrix.GroupSize; i += 4)
                {
                    *data = (q[i] & 0xFFFF) | (q[i + 2] << 16);
                    data += width;
                    *data = (q[i + 1] & 0xFFFF) | (q[i + 3] << 16);
                    data += width;
                }

                wordGroup += (long)width * WordsGroupBytes;
            }

            if (byteGroup is not null)
            {
                int sum = Vector512.Sum(q0 + q1);
                ((float*)byteGroup)[0] = scale;
                ((float*)byteGroup)[width] = scale * sum;
                ((int*)byteGroup)[2 * width] = FloatBias - (128 * sum);
                int* data = (int*)(byteGroup + (BytesHeader * width));
                for (int i = 0; i < PackedMatrix.GroupSize; i += 4)
                {
                    *data = (q[i] & 0xFF) | ((q[i + 1] & 0xFF) << 8) | ((q[i + 2] & 0xFF) << 16) | (q[i + 3] << 24);
                    data += width;
                }

                byteGroup += (long)width * BytesGroupBytes;
            }
        }
    }
}
