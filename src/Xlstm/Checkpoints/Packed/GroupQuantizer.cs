using System.Runtime.Intrinsics;

namespace Xlstm.Checkpoints.Packed;

/// <summary>Chooses scales for groups of at most 32 weights and rounds the weights to them.</summary>
internal static unsafe class GroupQuantizer
{
    private const int Int8Levels = 127;
    private const int Int4Levels = 15;
    private const int Lanes = 16;

    /// <summary>Rounds to signed bytes: weight = scale q.</summary>
    /// <param name="values">At most 32.</param>
    /// <param name="q">32 bytes; those past the values are zero.</param>
    /// <returns>The scale, bfloat16, the smallest that reaches the largest weight.</returns>
    public static ushort Int8(ReadOnlySpan<float> values, sbyte* q)
    {
        float largest = 0;
        foreach (float value in values)
        {
            largest = Math.Max(largest, MathF.Abs(value));
        }

        ushort bits = BFloat16.Round(largest / Int8Levels);
        if (BFloat16.Widen(bits) * Int8Levels < largest)
        {
            bits++;
        }

        float inverse = largest > 0 ? 1f / BFloat16.Widen(bits) : 0;
        for (int i = 0; i < PackedMatrix.GroupSize; i++)
        {
            q[i] = i < values.Length && float.IsFinite(inverse) ? (sbyte)Math.Clamp(MathF.Round(values[i] * inverse), -Int8Levels, Int8Levels) : (sbyte)0;
        }

        return bits;
    }

    /// <summary>Rounds to nibbles.</summary>
    /// <param name="x">float32 [32]; zero past the group's end, where activations are zero too.</param>
    /// <param name="scale">The scale as it can be stored.</param>
    /// <param name="minimum">The minimum as it can be stored.</param>
    /// <param name="q">32 bytes of 0 .. 15.</param>
    public static void Int4(float* x, float scale, float minimum, byte* q)
    {
        float inverse = scale > 0 ? 1f / scale : 0;
        Vector512<float> factor = Vector512.Create(float.IsFinite(inverse) ? inverse : 0), offset = Vector512.Create(minimum);
        for (int i = 0; i < PackedMatrix.GroupSize; i += Lanes)
        {
            Vector512<float> rounded = Vector512.Round((Vector512.Load(x + i) + offset) * factor);
            Vector512<int> clamped = Vector512.ConvertToInt32(Vector512.MinNative(Vector512.MaxNative(rounded, Vector512<float>.Zero), Vector512.Create((float)Int4Levels)));
            for (int lane = 0; lane < Lanes; lane++)
            {
                q[i + lane] = (byte)clamped[lane];
            }
        }
    }
}
