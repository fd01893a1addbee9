using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>The model's two norms. Reductions run in 16 lanes of float32.</summary>
internal static unsafe class Norms
{
    /// <summary>RMSNorm: <c>y = x rsqrt(mean(x^2) + eps) weight (+ bias)</c>.</summary>
    /// <param name="x">float32 [n].</param>
    /// <param name="weight">float32 [n].</param>
    /// <param name="bias">float32 [n], or null.</param>
    /// <param name="n">Length.</param>
    /// <param name="eps">norm_eps.</param>
    /// <param name="y">float32 [n]; may be <paramref name="x"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void RmsNorm(float* x, float* weight, float* bias, int n, float eps, float* y)
    {
        Vector512<float> squares = Vector512<float>.Zero;
        for (int i = 0; i < n; i += VectorMath.Lanes)
        {
            Vector512<float> xi = VectorMath.Load(x + i, n - i);
            squares = Vector512.MultiplyAddEstimate(xi, xi, squares);
        }

        float scale = 1f / MathF.Sqrt((VectorMath.Sum(squares) / n) + eps);
        for (int i = 0; i < n; i += VectorMath.Lanes)
        {
            Vector512<float> yi = VectorMath.Load(x + i, n - i) * Vector512.Create(scale) * VectorMath.Load(weight + i, n - i);
            if (bias is not null)
            {
                yi += VectorMath.Load(bias + i, n - i);
            }

            VectorMath.Store(yi, y + i, n - i);
        }
    }

    /// <summary>
    /// multihead_norm and the output gate of one head: <c>y = sigmoid(o) (LayerNorm(h) weight (+ bias))</c>, mean and biased
    /// variance over the head. Early in a text h is far smaller than eps, which then damps the head: eps is load-bearing.
    /// </summary>
    /// <param name="h">float32 [dv].</param>
    /// <param name="o">ogate preactivation, float32 [dv].</param>
    /// <param name="weight">float32 [dv].</param>
    /// <param name="bias">float32 [dv], or null.</param>
    /// <param name="n">dv.</param>
    /// <param name="eps">norm_eps.</param>
    /// <param name="y">float32 [dv].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void GatedHeadNorm(float* h, float* o, float* weight, float* bias, int n, float eps, float* y)
    {
        Vector512<float> sum = Vector512<float>.Zero;
        for (int i = 0; i < n; i += VectorMath.Lanes)
        {
            sum += VectorMath.Load(h + i, n - i);
        }

        float mean = VectorMath.Sum(sum) / n;
        Vector512<float> squares = Vector512<float>.Zero;
        int whole = n / VectorMath.Lanes * VectorMath.Lanes;
        for (int i = 0; i < whole; i += VectorMath.Lanes)
        {
            Vector512<float> centred = Vector512.Load(h + i) - Vector512.Create(mean);
            squares = Vector512.MultiplyAddEstimate(centred, centred, squares);
        }

        float tail = 0;
        for (int i = whole; i < n; i++)
        {
            tail += (h[i] - mean) * (h[i] - mean);
        }

        float scale = 1f / MathF.Sqrt(((VectorMath.Sum(squares) + tail) / n) + eps);
        for (int i = 0; i < n; i += VectorMath.Lanes)
        {
            Vector512<float> yi = (VectorMath.Load(h + i, n - i) - Vector512.Create(mean)) * Vector512.Create(scale) * VectorMath.Load(weight + i, n - i);
            if (bias is not null)
            {
                yi += VectorMath.Load(bias + i, n - i);
            }

            VectorMath.Store(yi * VectorMath.Sigmoid(VectorMath.Load(o + i, n - i)), y + i, n - i);
        }
    }
}
