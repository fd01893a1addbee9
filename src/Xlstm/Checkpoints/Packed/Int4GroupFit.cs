using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Xlstm.Checkpoints.Packed;

/// <summary>
/// Scales and minima for 16 int4 groups at once: weight = scale q - minimum, q in 0 .. 15, minimum at least 0. A lane is a group. Steps of 4 bits are coarse,
/// so it pays to look for the range whose rounding errors happen to be smallest: there are 17 candidates, from cutting the extremes off
/// by half a step to leaving half a step of room, each with the scale and minimum of least squared error for its roundings.
/// </summary>
internal readonly unsafe struct Int4GroupFit
{
    /// <summary>Groups.</summary>
    public const int Lanes = 16;

    /// <summary>Candidates.</summary>
    public const int Count = 17;

    private const int Levels = 15;

    private readonly float* _x;
    private readonly float* _w;
    private readonly Vector512<float> _low;
    private readonly Vector512<float> _range;
    private readonly Vector512<float> _inverseRange;
    private readonly Vector512<float> _sumW;
    private readonly Vector512<float> _sumX;
    private readonly Vector512<float> _sumXX;

    /// <param name="x">The groups' weights, [32][16]; zero past a group's end.</param>
    /// <param name="w">Weight of each one's squared error, [32][16]; zero past a group's end. (Weighing by the weight's own magnitude was tried and was no better.)</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public Int4GroupFit(float* x, float* w)
    {
        _x = x;
        _w = w;
        Vector512<float> zero = Vector512<float>.Zero, low = zero, high = zero, sumW = zero, sumX = zero, sumXX = zero;
        for (int k = 0; k < PackedMatrix.GroupSize; k++)
        {
            Vector512<float> xk = Vector512.Load(x + (k * Lanes)), wk = Vector512.Load(w + (k * Lanes));
            low = Vector512.Min(low, xk);
            high = Vector512.Max(high, xk);
            sumW += wk;
            sumX += wk * xk;
            sumXX += wk * xk * xk;
        }

        (_low, _range, _sumW, _sumX, _sumXX) = (low, high - low, sumW, sumX, sumXX);
        _inverseRange = Vector512.ConditionalSelect(Vector512.GreaterThan(_range, zero), Vector512<float>.One / _range, zero);
    }

    /// <summary>What holds every weight of a group, whatever its candidates are worth.</summary>
    public (Vector512<float> Scale, Vector512<float> Minimum) Whole => (_range / Vector512.Create((float)Levels), -_low);

    /// <summary>One candidate.</summary>
    /// <param name="step">Which, in [0, <see cref="Count"/>).</param>
    /// <returns>Scale, minimum and the weighted squared error; where nothing could be fitted the error is infinite.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public (Vector512<float> Scale, Vector512<float> Minimum, Vector512<float> Error) Candidate(int step)
    {
        Vector512<float> zero = Vector512<float>.Zero, levels = Vector512.Create((float)Levels), low = _low;
        Vector512<float> inverse = Vector512.Create(Levels + (((2f * step / (Count - 1)) - 1) * 0.9f)) * _inverseRange;
        Vector512<float> sumQ = zero, sumQQ = zero, sumQX = zero;
        for (int k = 0; k < PackedMatrix.GroupSize; k++)
        {
            Vector512<float> xk = Vector512.Load(_x + (k * Lanes));
            Vector512<float> q = Vector512.MinNative(Vector512.Round((xk - low) * inverse), levels); // x is at least low
            Vector512<float> wq = Vector512.Load(_w + (k * Lanes)) * q;
            sumQ += wq;
            sumQQ = Vector512.MultiplyAddEstimate(wq, q, sumQQ);
            sumQX = Vector512.MultiplyAddEstimate(wq, xk, sumQX);
        }

        // Given the q, the best scale and minimum solve a 2 x 2 system; with a minimum below 0 the best is at 0.
        Vector512<float> determinant = (_sumW * sumQQ) - (sumQ * sumQ);
        Vector512<float> scale = ((_sumW * sumQX) - (_sumX * sumQ)) / determinant, minimum = ((sumQ * sumQX) - (sumQQ * _sumX)) / determinant;
        Vector512<float> below = Vector512.LessThan(minimum, zero);
        minimum = Vector512.ConditionalSelect(below, zero, minimum);
        scale = Vector512.ConditionalSelect(below, sumQX / sumQQ, scale);

        // sum w (scale q - minimum - x)^2, expanded.
        Vector512<float> two = Vector512.Create(2f);
        Vector512<float> error = (scale * scale * sumQQ) + (minimum * minimum * _sumW) + _sumXX - (two * scale * minimum * sumQ) - (two * scale * sumQX) + (two * minimum * _sumX);
        Vector512<float> sound = Vector512.GreaterThan(scale, zero)
            & Vector512.GreaterThan(determinant, Vector512.Create(1e-4f) * _sumW * sumQQ); // else all q are alike, up to rounding: nothing to fit
        return (scale, minimum, Vector512.ConditionalSelect(sound, error, Vector512.Create(float.PositiveInfinity)));
    }

    /// <summary>The candidate of least squared error.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public (Vector512<float> Scale, Vector512<float> Minimum) Best()
    {
        (Vector512<float> bestScale, Vector512<float> bestMinimum) = Whole;
        Vector512<float> bestError = Vector512.Create(float.PositiveInfinity);
        for (int step = 0; step < Count; step++)
        {
            (Vector512<float> scale, Vector512<float> minimum, Vector512<float> error) = Candidate(step);
            Vector512<float> better = Vector512.LessThan(error, bestError);
            bestScale = Vector512.ConditionalSelect(better, scale, bestScale);
            bestMinimum = Vector512.ConditionalSelect(better, minimum, bestMinimum);
            bestError = Vector512.ConditionalSelect(better, error, bestError);
        }

        return (bestScale, bestMinimum);
    }
}
