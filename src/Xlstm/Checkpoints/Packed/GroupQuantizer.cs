using System.Runtime.Intrinsics;

namespace Xlstm.Checkpoints.Packed;

/// <summary>Chooses scales for groups of at most 32 weights and rounds the weights to them.</summary>
internal static unsafe class GroupQuantizer
{
    private const int Int8Levels = 127;
    private const int Int4Levels = 15;

    // Steps of 4 bits are coarse, so it pays to look for the range whose rounding errors happen to be smallest: from cutting
    // the extremes off by half a step to leaving half a step of room.
    private const int SearchSteps = 16;

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

    /// <summary>Looks for the scale and minimum of least squared error: weight = scale q - minimum, q in 0 .. 15, minimum at least 0.</summary>
    /// <param name="values">At most 32.</param>
    /// <param name="importance">Weight of each value's squared error; empty: all the same. (Weighing by the value's own magnitude was tried and was no better.)</param>
    public static (float Scale, float Minimum) FitInt4(ReadOnlySpan<float> values, ReadOnlySpan<float> importance)
    {
        float low = 0, high = 0;
        foreach (float value in values)
        {
            low = Math.Min(low, value);
            high = Math.Max(high, value);
        }

        if (high <= low)
        {
            return (0, 0);
        }

        // Two vectors hold a group; lanes past its end weigh nothing.
        float* x = stackalloc float[PackedMatrix.GroupSize];
        float* w = stackalloc float[PackedMatrix.GroupSize];
        for (int i = 0; i < PackedMatrix.GroupSize; i++)
        {
            bool inside = i < values.Length;
            x[i] = inside ? values[i] : 0;
            w[i] = !inside ? 0 : importance.IsEmpty ? 1 : importance[i];
        }

        Vector512<float> x0 = Vector512.Load(x), x1 = Vector512.Load(x + Vector512<float>.Count);
        Vector512<float> w0 = Vector512.Load(w), w1 = Vector512.Load(w + Vector512<float>.Count);
        float sumW = Vector512.Sum(w0 + w1), sumX = Vector512.Sum((w0 * x0) + (w1 * x1)), sumXX = Vector512.Sum((w0 * x0 * x0) + (w1 * x1 * x1));
        Vector512<float> levels = Vector512.Create((float)Int4Levels), zero = Vector512<float>.Zero, lowest = Vector512.Create(low);
        (float Scale, float Minimum) best = ((high - low) / Int4Levels, -low);
        float bestError = float.PositiveInfinity;
        for (int step = 0; step <= SearchSteps; step++)
        {
            float range = Int4Levels + (((2f * step / SearchSteps) - 1) * 0.9f);
            Vector512<float> inverse = Vector512.Create(range / (high - low));
            Vector512<float> q0 = Vector512.Min(Vector512.Max(Vector512.Round((x0 - lowest) * inverse), zero), levels);
            Vector512<float> q1 = Vector512.Min(Vector512.Max(Vector512.Round((x1 - lowest) * inverse), zero), levels);
            Vector512<float> wq0 = w0 * q0, wq1 = w1 * q1;
            float sumQ = Vector512.Sum(wq0 + wq1), sumQQ = Vector512.Sum((wq0 * q0) + (wq1 * q1)), sumQX = Vector512.Sum((wq0 * x0) + (wq1 * x1));

            // Given the q, the best scale and minimum solve a 2 x 2 system.
            float determinant = (sumW * sumQQ) - (sumQ * sumQ);
            if (determinant <= 1e-4f * sumW * sumQQ)
            {
                continue; // all q alike, up to rounding: nothing to fit
            }

            float scale = ((sumW * sumQX) - (sumX * sumQ)) / determinant;
            float minimum = ((sumQ * sumQX) - (sumQQ * sumX)) / determinant;
            if (minimum < 0)
            {
                minimum = 0;
                scale = sumQX / sumQQ;
            }

            // sum w (scale q - minimum - x)^2, expanded.
            float error = (scale * scale * sumQQ) + (minimum * minimum * sumW) + sumXX - (2 * scale * minimum * sumQ) - (2 * scale * sumQX) + (2 * minimum * sumX);
            if (scale > 0 && error < bestError)
            {
                bestError = error;
                best = (scale, minimum);
            }
        }

        return best;
    }

    /// <summary>Rounds to nibbles.</summary>
    /// <param name="values">At most 32.</param>
    /// <param name="scale">The scale as it can be stored.</param>
    /// <param name="minimum">The minimum as it can be stored.</param>
    /// <param name="q">32 bytes of 0 .. 15; those past the values stand for zero as well as they can, but meet activations that are zero.</param>
    public static void Int4(ReadOnlySpan<float> values, float scale, float minimum, byte* q)
    {
        float inverse = scale > 0 ? 1f / scale : 0;
        for (int i = 0; i < PackedMatrix.GroupSize; i++)
        {
            float value = i < values.Length ? values[i] : 0;
            q[i] = float.IsFinite(inverse) ? (byte)Math.Clamp(MathF.Round((value + minimum) * inverse), 0, Int4Levels) : (byte)0;
        }
    }
}
