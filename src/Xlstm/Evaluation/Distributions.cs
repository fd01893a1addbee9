using System.Numerics;
using System.Runtime.InteropServices;

namespace Xlstm.Evaluation;

/// <summary>Comparisons of the distributions softmax(logits), in float64.</summary>
internal static class Distributions
{
    /// <summary>KL(p || q) in nats: sum over the vocabulary of p ln(p / q).</summary>
    /// <param name="p">Logits of p, float32 [V].</param>
    /// <param name="logSumP">ln of the sum of exp over <paramref name="p"/>.</param>
    /// <param name="q">Logits of q, float32 [V].</param>
    /// <param name="logSumQ">ln of the sum of exp over <paramref name="q"/>.</param>
    /// <returns>At least 0: what rounding leaves below is cut off.</returns>
    public static double Divergence(ReadOnlySpan<float> p, double logSumP, ReadOnlySpan<float> q, double logSumQ)
    {
        ReadOnlySpan<Vector<float>> ps = MemoryMarshal.Cast<float, Vector<float>>(p), qs = MemoryMarshal.Cast<float, Vector<float>>(q);
        Vector<double> shiftP = new(logSumP), shiftQ = new(logSumQ), sums = Vector<double>.Zero;
        for (int i = 0; i < ps.Length; i++)
        {
            Vector.Widen(ps[i], out Vector<double> lowP, out Vector<double> highP);
            Vector.Widen(qs[i], out Vector<double> lowQ, out Vector<double> highQ);
            lowP -= shiftP;
            highP -= shiftP;
            sums += (Vector.Exp(lowP) * (lowP - (lowQ - shiftQ))) + (Vector.Exp(highP) * (highP - (highQ - shiftQ)));
        }

        double sum = Vector.Sum(sums);
        for (int i = ps.Length * Vector<float>.Count; i < p.Length; i++)
        {
            double logP = p[i] - logSumP;
            sum += Math.Exp(logP) * (logP - (q[i] - logSumQ));
        }

        return Math.Max(0, sum);
    }

    /// <summary>The most probable token: the first of them among equals.</summary>
    /// <param name="logits">float32 [V], at least one.</param>
    public static int Top(ReadOnlySpan<float> logits)
    {
        int top = 0;
        for (int i = 1; i < logits.Length; i++)
        {
            if (logits[i] > logits[top])
            {
                top = i;
            }
        }

        return top;
    }
}
