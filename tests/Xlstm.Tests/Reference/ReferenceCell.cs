namespace Xlstm.Tests.Reference;

/// <summary>The recurrent state of one head: C [dqk, dv], n [dqk], m. It starts all zero.</summary>
internal sealed class HeadState(int dqk, int dv)
{
    public double[,] C { get; } = new double[dqk, dv];

    public double[] N { get; } = new double[dqk];

    public double M { get; set; }
}

/// <summary>
/// The mLSTM cell of one head in double precision, in its two forms (xLSTM, arXiv 2405.04517; Tiled Flash Linear Attention, arXiv
/// 2503.14376). Inputs are one row a token: q, k [T, dqk], v [T, dv], capped gate preactivations i, f [T]. The result is h [T, dv].
/// </summary>
internal static class ReferenceCell
{
    /// <summary>One token after the other.</summary>
    public static double[][] Steps(HeadState state, double[][] q, double[][] k, double[][] v, double[] i, double[] f, double eps) =>
        [.. Enumerable.Range(0, q.Length).Select(t => Step(state, q[t], k[t], v[t], i[t], f[t], eps))];

    /// <summary>One token: q, k [dqk], v [dv].</summary>
    public static double[] Step(HeadState state, double[] q, double[] k, double[] v, double i, double f, double eps)
    {
        int dqk = q.Length;
        int dv = v.Length;
        double m = Math.Max(LogSigmoid(f) + state.M, i);
        double a = Math.Exp(LogSigmoid(f) + state.M - m);
        double b = Math.Exp(i - m);

        for (int x = 0; x < dqk; x++)
        {
            for (int y = 0; y < dv; y++)
            {
                state.C[x, y] = (a * state.C[x, y]) + (b * k[x] * v[y]);
            }

            state.N[x] = (a * state.N[x]) + (b * k[x]);
        }

        state.M = m;

        double scale = 1 / Math.Sqrt(dqk);
        var h = new double[dv];
        double qn = 0;
        for (int x = 0; x < dqk; x++)
        {
            qn += scale * q[x] * state.N[x];
            for (int y = 0; y < dv; y++)
            {
                h[y] += scale * q[x] * state.C[x, y];
            }
        }

        double denominator = Math.Max(Math.Abs(qn), Math.Exp(-m)) + eps;
        return [.. h.Select(value => value / denominator)];
    }

    /// <summary>Chunks of some tokens at once, the last may be short: attention within a chunk, the state between chunks.</summary>
    public static double[][] Chunks(HeadState state, double[][] q, double[][] k, double[][] v, double[] i, double[] f, double eps, int chunkSize)
    {
        List<double[]> h = [];
        for (int first = 0; first < q.Length; first += chunkSize)
        {
            Range chunk = first..Math.Min(first + chunkSize, q.Length);
            h.AddRange(Chunk(state, q[chunk], k[chunk], v[chunk], i[chunk], f[chunk], eps));
        }

        return [.. h];
    }

    private static double[][] Chunk(HeadState state, double[][] q, double[][] k, double[][] v, double[] i, double[] f, double eps)
    {
        int length = q.Length;
        int dqk = q[0].Length;
        int dv = v[0].Length;
        double scale = 1 / Math.Sqrt(dqk);

        // B[t]: log of how much of the state before the chunk is left at t
        var B = new double[length];
        for (int t = 0; t < length; t++)
        {
            B[t] = LogSigmoid(f[t]) + (t > 0 ? B[t - 1] : 0);
        }

        var h = new double[length][];
        for (int t = 0; t < length; t++)
        {
            double m = B[t] + state.M;
            for (int s = 0; s <= t; s++)
            {
                m = Math.Max(m, B[t] - B[s] + i[s]);
            }

            // what the tokens of the chunk up to t give
            var numerator = new double[dv];
            double qn = 0;
            for (int s = 0; s <= t; s++)
            {
                double weight = Math.Exp(B[t] - B[s] + i[s] - m) * scale * Dot(q[t], k[s]);
                qn += weight;
                for (int y = 0; y < dv; y++)
                {
                    numerator[y] += weight * v[s][y];
                }
            }

            // what the state before the chunk gives
            double left = Math.Exp(B[t] + state.M - m);
            for (int x = 0; x < dqk; x++)
            {
                qn += left * scale * q[t][x] * state.N[x];
                for (int y = 0; y < dv; y++)
                {
                    numerator[y] += left * scale * q[t][x] * state.C[x, y];
                }
            }

            double denominator = Math.Max(Math.Abs(qn), Math.Exp(-m)) + eps;
            h[t] = [.. numerator.Select(value => value / denominator)];
        }

        MoveOn(state, k, v, i, B);
        return h;
    }

    /// <summary>The state after a chunk from the state before it.</summary>
    private static void MoveOn(HeadState state, double[][] k, double[][] v, double[] i, double[] B)
    {
        double m = B[^1] + state.M;
        for (int s = 0; s < k.Length; s++)
        {
            m = Math.Max(m, B[^1] - B[s] + i[s]);
        }

        double left = Math.Exp(B[^1] + state.M - m);
        for (int x = 0; x < state.N.Length; x++)
        {
            state.N[x] *= left;
            for (int y = 0; y < state.C.GetLength(1); y++)
            {
                state.C[x, y] *= left;
            }
        }

        for (int s = 0; s < k.Length; s++)
        {
            double weight = Math.Exp(B[^1] - B[s] + i[s] - m);
            for (int x = 0; x < state.N.Length; x++)
            {
                state.N[x] += weight * k[s][x];
                for (int y = 0; y < state.C.GetLength(1); y++)
                {
                    state.C[x, y] += weight * k[s][x] * v[s][y];
                }
            }
        }

        state.M = m;
    }

    public static double LogSigmoid(double z) => Math.Min(z, 0) - Math.Log(1 + Math.Exp(-Math.Abs(z)));

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();
}
