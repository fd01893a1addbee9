using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>Elementwise functions of a row.</summary>
internal static unsafe class Activations
{
    /// <summary>SwiGLU: <c>y = silu(gate) up</c>, silu(z) = z / (1 + e^-z).</summary>
    /// <param name="gate">float32 [n].</param>
    /// <param name="up">float32 [n].</param>
    /// <param name="n">Length.</param>
    /// <param name="y">float32 [n].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void SwiGlu(float* gate, float* up, int n, float* y)
    {
        for (int i = 0; i < n; i += VectorMath.Lanes)
        {
            Vector512<float> z = VectorMath.Load(gate + i, n - i);
            VectorMath.Store(z * VectorMath.Sigmoid(z) * VectorMath.Load(up + i, n - i), y + i, n - i);
        }
    }

    /// <summary>Soft cap: <c>y = cap tanh(x / cap)</c>.</summary>
    /// <param name="x">float32 [n].</param>
    /// <param name="n">Length.</param>
    /// <param name="cap">The cap, above 0.</param>
    /// <param name="y">float32 [n]; may be <paramref name="x"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void SoftCap(float* x, int n, float cap, float* y)
    {
        for (int i = 0; i < n; i += VectorMath.Lanes)
        {
            Vector512<float> z = VectorMath.Load(x + i, n - i) / Vector512.Create(cap);
            VectorMath.Store(VectorMath.Tanh(z) * Vector512.Create(cap), y + i, n - i);
        }
    }
}
