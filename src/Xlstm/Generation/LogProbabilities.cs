using System.Numerics;
using System.Runtime.InteropServices;

namespace Xlstm.Generation;

/// <summary>Natural-log probabilities under the model's own distribution, log softmax of the logits, summed in float64.</summary>
internal static class LogProbabilities
{
    /// <summary>Log probabilities of one token and of the most probable ones.</summary>
    /// <param name="logits">The model's logits, [V]; not modified.</param>
    /// <param name="chosen">The token asked for.</param>
    /// <param name="top">How many of the most probable tokens to list; all of them if there are fewer.</param>
    /// <returns>The chosen token's log probability; the most probable tokens, best first, the lowest id first among equals.</returns>
    public static (float Chosen, TokenLogProbability[] Top) Of(ReadOnlySpan<float> logits, int chosen, int top)
    {
        double logSum = LogSumExp(logits);
        return ((float)(logits[chosen] - logSum), Top(logits, Math.Min(top, logits.Length), logSum));
    }

    private static TokenLogProbability[] Top(ReadOnlySpan<float> logits, int count, double logSum)
    {
        if (count == 0)
        {
            return [];
        }

        var result = new TokenLogProbability[count];
        (float cut, double left) = RankCut.Find(logits, [], count);
        int found = 0;
        for (int id = 0; found < count; id++)
        {
            if (logits[id] > cut || (logits[id] == cut && left-- > 0))
            {
                result[found++] = new TokenLogProbability(id, logits[id]);
            }
        }

        // Sorted while they are still logits: unequal ones may round to equal log probabilities.
        Array.Sort(result, static (a, b) =>
            a.LogProbability != b.LogProbability ? b.LogProbability.CompareTo(a.LogProbability) : a.Id.CompareTo(b.Id));
        foreach (ref TokenLogProbability token in result.AsSpan())
        {
            token = token with { LogProbability = (float)(token.LogProbability - logSum) };
        }

        return result;
    }

    /// <summary>ln of the sum of exp over the logits.</summary>
    /// <param name="logits">float32 [V].</param>
    public static double LogSumExp(ReadOnlySpan<float> logits)
    {
        float highest = float.NegativeInfinity;
        foreach (float logit in logits)
        {
            highest = MathF.Max(highest, logit);
        }

        var shift = new Vector<double>(highest);
        Vector<double> sums = Vector<double>.Zero;
        ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(logits);
        foreach (Vector<float> vector in vectors)
        {
            Vector.Widen(vector, out Vector<double> low, out Vector<double> high);
            sums += Vector.Exp(low - shift) + Vector.Exp(high - shift);
        }

        double sum = Vector.Sum(sums);
        foreach (float logit in logits[(vectors.Length * Vector<float>.Count)..])
        {
            sum += Math.Exp((double)logit - highest);
        }

        return highest + Math.Log(sum);
    }
}
