using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>
/// The mLSTM cell of one head, in step order whatever the number of tokens (xLSTM 7B, arXiv 2503.13427, section 2; the
/// stabilized recurrence of arXiv 2405.04517, appendix):
/// <c>m' = max(logsigmoid(f) + m, i); a = exp(logsigmoid(f) + m - m'); b = exp(i - m'); C' = a C + b k v^T; n' = a n + b k;
/// h = q~^T C' / (max(|q~ . n'|, exp(-m')) + eps)</c> with <c>q~ = q / sqrt(dqk)</c>.
/// Two passes: <see cref="Gates"/> makes the scalars of every step and moves n and m on; <see cref="Values"/> moves a block of
/// columns of C on and multiplies it by q~ in the same sweep.
/// </summary>
internal static unsafe class MlstmCell
{
    /// <summary>Columns of C that a prefill keeps in cache at a time: 4 vectors, 64 KiB at dqk = 256.</summary>
    public const int ColumnBlock = 4 * VectorMath.Lanes;

    /// <summary>The scalars of one step of one head.</summary>
    internal struct StepScalars
    {
        /// <summary>Decay of the old state.</summary>
        public float A;

        /// <summary>Weight of the new k v^T.</summary>
        public float B;

        /// <summary>What h is divided by.</summary>
        public float Denominator;
    }

    /// <summary>Walks the steps of one head: scalars out, n and m moved on, q scaled in place.</summary>
    /// <param name="q">float32 [T, QK] at this head's first column; scaled by 1 / sqrt(dqk).</param>
    /// <param name="k">float32 [T, QK] at this head's first column.</param>
    /// <param name="stride">Floats from one token's q (and k) to the next.</param>
    /// <param name="iGate">i preactivation of this head, one every <paramref name="gateStride"/> floats.</param>
    /// <param name="fGate">f preactivation of this head, likewise.</param>
    /// <param name="gateStride">Floats from one token's gates to the next.</param>
    /// <param name="tokens">T.</param>
    /// <param name="dqk">Width of q and k.</param>
    /// <param name="gateSoftCap">Cap of i and f, or null.</param>
    /// <param name="eps">The cell's eps.</param>
    /// <param name="n">float32 [dqk], moved on.</param>
    /// <param name="m">The stabilizer, moved on.</param>
    /// <param name="scalars">One a token, every <paramref name="scalarStride"/>.</param>
    /// <param name="scalarStride">Elements from one token's scalars to the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Gates(
        float* q, float* k, int stride, float* iGate, float* fGate, int gateStride, int tokens, int dqk, float? gateSoftCap, float eps, float* n, float* m, StepScalars* scalars, int scalarStride)
    {
        Vector512<float> scale = Vector512.Create((float)(1 / Math.Sqrt(dqk)));
        for (int t = 0; t < tokens; t++)
        {
            double i = Cap(iGate[t * gateStride], gateSoftCap);
            double f = Cap(fGate[t * gateStride], gateSoftCap);

            // In double: an open forget gate decays by 1e-7 a step, which float32 would round away from m and from a alike.
            // m is a float32 of the state; a and b are taken against its rounded value, so nothing is lost by that rounding.
            double logF = Math.Min(f, 0) - Math.Log(1 + Math.Exp(-Math.Abs(f)));
            double decayed = logF + *m;
            float next = (float)Math.Max(decayed, i);
            float a = (float)Math.Exp(decayed - next);
            float b = (float)Math.Exp(i - next);
            *m = next;

            Vector512<float> dot = Vector512<float>.Zero;
            Vector512<float> va = Vector512.Create(a), vb = Vector512.Create(b);
            for (int j = 0; j < dqk; j += VectorMath.Lanes)
            {
                Vector512<float> nj = Vector512.MultiplyAddEstimate(vb, VectorMath.Load(k + j, dqk - j), va * VectorMath.Load(n + j, dqk - j));
                VectorMath.Store(nj, n + j, dqk - j);
                Vector512<float> qj = scale * VectorMath.Load(q + j, dqk - j);
                VectorMath.Store(qj, q + j, dqk - j);
                dot = Vector512.MultiplyAddEstimate(qj, nj, dot);
            }

            scalars[t * scalarStride] = new StepScalars { A = a, B = b, Denominator = Math.Max(Math.Abs(VectorMath.Sum(dot)), (float)Math.Exp(-next)) + eps };
            q += stride;
            k += stride;
        }
    }

    /// <summary>Walks the steps of one head over the columns [first, first + count) of C.</summary>
    /// <param name="c">float32 [dqk, dv], those columns moved on.</param>
    /// <param name="dv">Columns of a head.</param>
    /// <param name="first">First column.</param>
    /// <param name="count">Columns; with more than one token at most <see cref="ColumnBlock"/>.</param>
    /// <param name="q">q~, float32 [T, QK] at this head's first column.</param>
    /// <param name="k">float32 [T, QK] at this head's first column.</param>
    /// <param name="qkStride">Floats from one token's q (and k) to the next.</param>
    /// <param name="v">float32 [T, VD] at this head's first column.</param>
    /// <param name="h">Written: float32 [T, VD] at this head's first column.</param>
    /// <param name="vStride">Floats from one token's v (and h) to the next.</param>
    /// <param name="tokens">T.</param>
    /// <param name="dqk">Rows of C.</param>
    /// <param name="scalars">From <see cref="Gates"/>.</param>
    /// <param name="scalarStride">Elements from one token's scalars to the next.</param>
    /// <param name="scratch">float32 [dqk, <see cref="ColumnBlock"/>] of this thread; unused for one token.</param>
    public static void Values(
        float* c, int dv, int first, int count, float* q, float* k, int qkStride, float* v, float* h, int vStride, int tokens, int dqk, StepScalars* scalars, int scalarStride, float* scratch)
    {
        if (tokens == 1)
        {
            Rows(c + first, dv, count, q, k, v + first, h + first, dqk, *scalars);
            return;
        }

        // The block of columns is gathered once, walked T times in cache, and put back.
        Copy(c + first, dv, scratch, ColumnBlock, dqk, count);
        for (int t = 0; t < tokens; t++)
        {
            if (count == ColumnBlock)
            {
                Block(scratch, q, k, v + first, h + first, dqk, scalars[t * scalarStride]);
            }
            else
            {
                Rows(scratch, ColumnBlock, count, q, k, v + first, h + first, dqk, scalars[t * scalarStride]);
            }

            q += qkStride;
            k += qkStride;
            v += vStride;
            h += vStride;
        }

        Copy(scratch, ColumnBlock, c + first, dv, dqk, count);
    }

    /// <summary>One step over 64 columns: h stays in registers, C is in cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Block(float* c, float* q, float* k, float* v, float* h, int dqk, StepScalars s)
    {
        Vector512<float> a = Vector512.Create(s.A);
        Vector512<float> v0 = Vector512.Load(v), v1 = Vector512.Load(v + 16), v2 = Vector512.Load(v + 32), v3 = Vector512.Load(v + 48);
        Vector512<float> h0 = default, h1 = default, h2 = default, h3 = default;
        for (int j = 0; j < dqk; j++)
        {
            Vector512<float> bk = Vector512.Create(s.B * k[j]), qj = Vector512.Create(q[j]);
            Vector512<float> c0 = Vector512.MultiplyAddEstimate(bk, v0, a * Vector512.Load(c));
            Vector512<float> c1 = Vector512.MultiplyAddEstimate(bk, v1, a * Vector512.Load(c + 16));
            Vector512<float> c2 = Vector512.MultiplyAddEstimate(bk, v2, a * Vector512.Load(c + 32));
            Vector512<float> c3 = Vector512.MultiplyAddEstimate(bk, v3, a * Vector512.Load(c + 48));
            c0.Store(c);
            c1.Store(c + 16);
            c2.Store(c + 32);
            c3.Store(c + 48);
            h0 = Vector512.MultiplyAddEstimate(qj, c0, h0);
            h1 = Vector512.MultiplyAddEstimate(qj, c1, h1);
            h2 = Vector512.MultiplyAddEstimate(qj, c2, h2);
            h3 = Vector512.MultiplyAddEstimate(qj, c3, h3);
            c += ColumnBlock;
        }

        Vector512<float> denominator = Vector512.Create(s.Denominator);
        (h0 / denominator).Store(h);
        (h1 / denominator).Store(h + 16);
        (h2 / denominator).Store(h + 32);
        (h3 / denominator).Store(h + 48);
    }

    /// <summary>One step, whole rows of C at a time: memory is walked in order, h accumulates in cache. The arithmetic is that of <see cref="Block"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows(float* c, int cStride, int count, float* q, float* k, float* v, float* h, int dqk, StepScalars s)
    {
        Vector512<float> a = Vector512.Create(s.A);
        new Span<float>(h, count).Clear();
        int whole = count / VectorMath.Lanes * VectorMath.Lanes;
        for (int j = 0; j < dqk; j++)
        {
            float bkScalar = s.B * k[j], qScalar = q[j];
            Vector512<float> bk = Vector512.Create(bkScalar), qj = Vector512.Create(qScalar);
            for (int i = 0; i < whole; i += VectorMath.Lanes)
            {
                Vector512<float> ci = Vector512.MultiplyAddEstimate(bk, Vector512.Load(v + i), a * Vector512.Load(c + i));
                ci.Store(c + i);
                Vector512.MultiplyAddEstimate(qj, ci, Vector512.Load(h + i)).Store(h + i);
            }

            for (int i = whole; i < count; i++)
            {
                float ci = float.MultiplyAddEstimate(bkScalar, v[i], s.A * c[i]);
                c[i] = ci;
                h[i] = float.MultiplyAddEstimate(qScalar, ci, h[i]);
            }

            c += cStride;
        }

        for (int i = 0; i < count; i++)
        {
            h[i] /= s.Denominator;
        }
    }

    private static void Copy(float* source, int sourceStride, float* destination, int destinationStride, int rows, int cols)
    {
        for (int j = 0; j < rows; j++)
        {
            new ReadOnlySpan<float>(source, cols).CopyTo(new Span<float>(destination, cols));
            source += sourceStride;
            destination += destinationStride;
        }
    }

    private static double Cap(float z, float? cap) => cap is { } c ? c * Math.Tanh(z / (double)c) : z;
}
