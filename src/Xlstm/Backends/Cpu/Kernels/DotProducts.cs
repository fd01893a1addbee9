using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>
/// Dot products of four bytes at a time: the instruction that integer kernels are made of, where there is one. Kernels take it as a type
/// argument, so that the same code can be compiled with the instruction and, on machines without it, with a model of it.
/// </summary>
internal interface IDotProduct128
{
    /// <summary>Adds to each 32-bit lane the four products of its bytes, exactly.</summary>
    static abstract Vector128<int> MultiplyAdd(Vector128<int> sum, Vector128<sbyte> weights, Vector128<sbyte> activations);
}

/// <summary>As <see cref="IDotProduct128"/>, with unsigned weights.</summary>
internal interface IDotProduct256
{
    /// <summary>Adds to each 32-bit lane the four products of its bytes, exactly.</summary>
    static abstract Vector256<int> MultiplyAdd(Vector256<int> sum, Vector256<byte> weights, Vector256<sbyte> activations);
}

/// <summary>vpdpbusd.</summary>
internal readonly struct AvxVnniDotProduct : IDotProduct256
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> MultiplyAdd(Vector256<int> sum, Vector256<byte> weights, Vector256<sbyte> activations) =>
        AvxVnni.MultiplyWideningAndAdd(sum, weights, activations);
}

/// <summary>sdot.</summary>
internal readonly struct ArmDotProduct : IDotProduct128
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> MultiplyAdd(Vector128<int> sum, Vector128<sbyte> weights, Vector128<sbyte> activations) =>
        Dp.DotProduct(sum, weights, activations);
}

/// <summary>Instructions of any machine: bytes are widened to 16 bits, which hold a product but not the sum of two.</summary>
internal readonly struct WideningDotProduct : IDotProduct128
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> MultiplyAdd(Vector128<int> sum, Vector128<sbyte> weights, Vector128<sbyte> activations)
    {
        Vector128<short> w = weights.AsInt16(), x = activations.AsInt16();
        Vector128<int> even = (((w << 8) >> 8) * ((x << 8) >> 8)).AsInt32(), odd = ((w >> 8) * (x >> 8)).AsInt32();
        return sum + (((even << 16) >> 16) + (even >> 16)) + (((odd << 16) >> 16) + (odd >> 16));
    }
}
