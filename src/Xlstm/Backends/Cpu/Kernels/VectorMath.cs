using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>
/// Elementary functions over 16 lanes. Written once with <see cref="Vector512{T}"/>, which the runtime splits where vectors
/// are narrower: the order of every sum is that of 16 lanes on every machine.
/// </summary>
internal static class VectorMath
{
    /// <summary>Lanes.</summary>
    public const int Lanes = 16;

    /// <summary>e^x to about 2 units in the last place; x is clamped to [-87, 88], inside which neither overflow nor denormals occur.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        x = Vector512.Min(Vector512.Max(x, Vector512.Create(-87f)), Vector512.Create(88f));

        // x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts so that the subtraction is exact enough (Cody and Waite).
        Vector512<float> n = Vector512.Round(x * Vector512.Create(1.44269504f));
        Vector512<float> r = Vector512.MultiplyAddEstimate(n, Vector512.Create(-0.693359375f), x);
        r = Vector512.MultiplyAddEstimate(n, Vector512.Create(2.12194440e-4f), r);

        // Minimax polynomial of e^r on that interval (Cephes expf).
        Vector512<float> p = Vector512.Create(1.9875691500e-4f);
        p = Vector512.MultiplyAddEstimate(p, r, Vector512.Create(1.3981999507e-3f));
        p = Vector512.MultiplyAddEstimate(p, r, Vector512.Create(8.3334519073e-3f));
        p = Vector512.MultiplyAddEstimate(p, r, Vector512.Create(4.1665795894e-2f));
        p = Vector512.MultiplyAddEstimate(p, r, Vector512.Create(1.6666665459e-1f));
        p = Vector512.MultiplyAddEstimate(p, r, Vector512.Create(5.0000001201e-1f));
        p = Vector512.MultiplyAddEstimate(p, r * r, r) + Vector512.Create(1f);

        Vector512<int> power = (Vector512.ConvertToInt32(n) + Vector512.Create(127)) << 23;
        return p * power.AsSingle();
    }

    /// <summary>1 / (1 + e^-x).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Sigmoid(Vector512<float> x) => Vector512<float>.One / (Vector512<float>.One + Exp(-x));

    /// <summary>tanh x as 1 - 2 / (e^2x + 1): absolute error about 1e-7, which is what a soft cap needs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Tanh(Vector512<float> x) =>
        Vector512<float>.One - (Vector512.Create(2f) / (Exp(x + x) + Vector512<float>.One));

    /// <summary>Sum of the lanes, halves onto halves: the same order on every machine.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Vector512<float> x)
    {
        Vector256<float> x8 = x.GetLower() + x.GetUpper();
        Vector128<float> x4 = x8.GetLower() + x8.GetUpper();
        return (x4[0] + x4[2]) + (x4[1] + x4[3]);
    }

    /// <summary>Largest lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Max(Vector512<float> x)
    {
        Vector256<float> x8 = Vector256.Max(x.GetLower(), x.GetUpper());
        Vector128<float> x4 = Vector128.Max(x8.GetLower(), x8.GetUpper());
        return Math.Max(Math.Max(x4[0], x4[2]), Math.Max(x4[1], x4[3]));
    }

    /// <summary>Loads up to 16 floats; the lanes past <paramref name="count"/> are zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe Vector512<float> Load(float* source, int count) => count >= Lanes ? Vector512.Load(source) : LoadPart(source, count);

    /// <summary>Stores the first <paramref name="count"/> lanes, at most 16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe void Store(Vector512<float> value, float* destination, int count)
    {
        if (count >= Lanes)
        {
            value.Store(destination);
        }
        else
        {
            StorePart(value, destination, count);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe Vector512<float> LoadPart(float* source, int count)
    {
        float* lanes = stackalloc float[Lanes];
        for (int i = 0; i < count; i++)
        {
            lanes[i] = source[i];
        }

        for (int i = count; i < Lanes; i++)
        {
            lanes[i] = 0;
        }

        return Vector512.Load(lanes);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe void StorePart(Vector512<float> value, float* destination, int count)
    {
        float* lanes = stackalloc float[Lanes];
        value.Store(lanes);
        for (int i = 0; i < count; i++)
        {
            destination[i] = lanes[i];
        }
    }
}
