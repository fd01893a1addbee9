using System.Runtime.CompilerServices;
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

    /// <summary>Groups that <see cref="FitInt4"/> takes.</summary>
    public const int Lanes = 16;

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

    /// <summary>
    /// Looks, for 16 groups at once, for the scale and minimum of least squared error: weight = scale q - minimum, q in 0 .. 15,
    /// minimum at least 0. A lane is a group.
    /// </summary>
    /// <param name="x">The groups' weights, [32][16]; zero past a group's end.</param>
    /// <param name="w">Weight of each one's squared error, [32][16]; zero past a group's end. (Weighing by the weight's own magnitude was tried and was no better.)</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static (Vector512<float> Scale, Vector512<float> Minimum) FitInt4(float* x, float* w)
    {
        Vector512<float> zero = Vector512<float>.Zero, levels = Vector512.Create((float)Int4Levels);
        Vector512<float> low = zero, high = zero, sumW = zero, sumX = zero, sumXX = zero;
        for (int k = 0; k < PackedMatrix.GroupSize; k++)
        {
            Vector512<float> xk = Vector512.Load(x + (k * Lanes)), wk = Vector512.Load(w + (k * Lanes));
            low = Vector512.Min(low, xk);
            high = Vector512.Max(high, xk);
            sumW += wk;
            sumX += wk * xk;
            sumXX += wk * xk * xk;
        }

        Vector512<float> range = high - low;
        Vector512<float> inverseRange = Vector512.ConditionalSelect(Vector512.GreaterThan(range, zero), Vector512<float>.One / range, zero);
        Vector512<float> bestScale = range / levels, bestMinimum = -low, bestError = Vector512.Create(float.PositiveInfinity);
        for (int step = 0; step <= SearchSteps; step++)
        {
            Vector512<float> inverse = Vector512.Create(Int4Levels + (((2f * step / SearchSteps) - 1) * 0.9f)) * inverseRange;
            Vector512<float> sumQ = zero, sumQQ = zero, sumQX = zero;
            for (int k = 0; k < PackedMatrix.GroupSize; k++)
            {
                Vector512<float> xk = Vector512.Load(x + (k * Lanes));
                Vector512<float> q = Vector512.MinNative(Vector512.Round((xk - low) * inverse), levels); // x is at least low
                Vector512<float> wq = Vector512.Load(w + (k * Lanes)) * q;
                sumQ += wq;
                sumQQ = Vector512.MultiplyAddEstimate(wq, q, sumQQ);
                sumQX = Vector512.MultiplyAddEstimate(wq, xk, sumQX);
            }

            // Given the q, the best scale and minimum solve a 2 x 2 system; with a minimum below 0 the best is at 0.
            Vector512<float> determinant = (sumW * sumQQ) - (sumQ * sumQ);
            Vector512<float> scale = ((sumW * sumQX) - (sumX * sumQ)) / determinant, minimum = ((sumQ * sumQX) - (sumQQ * sumX)) / determinant;
            Vector512<float> below = Vector512.LessThan(minimum, zero);
            minimum = Vector512.ConditionalSelect(below, zero, minimum);
            scale = Vector512.ConditionalSelect(below, sumQX / sumQQ, scale);

            // sum w (scale q - minimum - x)^2, expanded.
            Vector512<float> two = Vector512.Create(2f);
            Vector512<float> error = (scale * scale * sumQQ) + (minimum * minimum * sumW) + sumXX - (two * scale * minimum * sumQ) - (two * scale * sumQX) + (two * minimum * sumX);
            Vector512<float> better = Vector512.LessThan(error, bestError) & Vector512.GreaterThan(scale, zero)
                & Vector512.GreaterThan(determinant, Vector512.Create(1e-4f) * sumW * sumQQ); // else all q are alike, up to rounding: nothing to fit
            bestScale = Vector512.ConditionalSelect(better, scale, bestScale);
            bestMinimum = Vector512.ConditionalSelect(better, minimum, bestMinimum);
            bestError = Vector512.ConditionalSelect(better, error, bestError);
        }

        return (bestScale, bestMinimum);
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
