namespace Xlstm.Tests.Generation;

/// <summary>The sampling chain once more, with sorted lists in double precision: what a reader of the documentation would write.</summary>
internal static class NaiveChain
{
    /// <summary>The surviving ids and the probability of each.</summary>
    public static Dictionary<int, double> Run(
        IReadOnlyList<float> logits, SamplingOptions options, IReadOnlyList<int>? prompt = null, IReadOnlyList<int>? generated = null)
    {
        prompt ??= [];
        generated ??= [];
        double[] scores = [.. logits];
        foreach (int id in prompt.Concat(generated).Distinct())
        {
            scores[id] = scores[id] > 0 ? scores[id] / options.RepetitionPenalty : scores[id] * options.RepetitionPenalty;
        }

        foreach (int id in generated.Distinct())
        {
            scores[id] -= options.PresencePenalty + (options.FrequencyPenalty * generated.Count(other => other == id));
        }

        foreach ((int id, float bias) in options.LogitBias ?? new Dictionary<int, float>())
        {
            scores[id] += bias;
        }

        List<int> ranked = [.. Enumerable.Range(0, scores.Length).Where(id => scores[id] > double.NegativeInfinity).OrderByDescending(id => scores[id]).ThenBy(id => id)];
        if (options.TopK > 0)
        {
            ranked = [.. ranked.Take(options.TopK)];
        }

        double highest = scores[ranked[0]];
        double total = ranked.Sum(id => Math.Exp(scores[id] - highest));
        if (options.TopP < 1)
        {
            double reached = 0;
            int count = 0;
            while (count < ranked.Count && reached < options.TopP * (1 - 1e-6) * total)
            {
                reached += Math.Exp(scores[ranked[count++]] - highest);
            }

            ranked = [.. ranked.Take(count)];
        }

        ranked = [.. ranked.Where(id => options.MinP == 0 || Math.Exp(scores[id] - highest) >= options.MinP)];
        Dictionary<int, double> weights = ranked.ToDictionary(id => id, id => Math.Exp((scores[id] - highest) / options.Temperature));
        double sum = weights.Values.Sum();
        return weights.ToDictionary(pair => pair.Key, pair => pair.Value / sum);
    }
}
