using System.Diagnostics;
using System.Text;
using Xlstm.Cli.Output;

namespace Xlstm.Cli.Generation;

/// <summary>Runs one job on a model and keeps count.</summary>
internal static class GenerationRun
{
    /// <param name="model">The model.</param>
    /// <param name="promptIds">The ids to feed.</param>
    /// <param name="job">The job.</param>
    /// <param name="receive">Called with each token as it is made.</param>
    /// <param name="cancellationToken">Ends the run early: the result then holds what there was by then.</param>
    public static async Task<GenerationResult> RunAsync(XlstmModel model, int[] promptIds, GenerationJob job, Action<GeneratedToken> receive, CancellationToken cancellationToken)
    {
        var sampling = job.Options.Sampling;
        bool draws = sampling is { Greedy: false, Temperature: > 0 };
        // Drawn here and not left to the library, so that a text that pleases can be had again.
        ulong? seed = draws ? sampling.Seed ?? (ulong)Random.Shared.NextInt64() : null;
        var options = job.Options with { Sampling = sampling with { Seed = seed } };
        var text = new StringBuilder();
        var ids = new List<int>();
        var logProbs = job.Options.TopLogProbabilities > 0 ? new List<TokenResult>() : null;
        FinishReason? reason = job.Options.MaxNewTokens == 0 ? FinishReason.Length : null;
        using var session = model.CreateSession();
        long start = Stopwatch.GetTimestamp();
        TimeSpan? prompt = null;
        try
        {
            using (var bar = new ProgressBar("Reading prompt", "tok", TimeSpan.FromSeconds(1), keep: false))
            {
                session.Append(promptIds, new PromptProgress(bar, promptIds.Length), cancellationToken);
                bar.Finish();
            }
            prompt = Stopwatch.GetElapsedTime(start);
            await foreach (var token in session.GenerateAsync(options, cancellationToken).ConfigureAwait(false))
            {
                text.Append(token.Text);
                ids.Add(token.Id);
                logProbs?.Add(TokenResult.Of(token.Id, token.LogProbability, model.Tokenizer, token.TopLogProbabilities));
                receive(token);
                if (token.FinishReason != FinishReason.None)
                    reason = token.FinishReason;
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
        }
        var total = Stopwatch.GetElapsedTime(start);
        return new GenerationResult
        {
            Id = job.Id,
            Text = text.ToString(),
            Ids = ids,
            PromptIds = promptIds,
            FinishReason = GenerationResult.Name(reason),
            Seed = seed,
            Logprobs = logProbs,
            Timings = new Timings
            {
                PromptTokens = prompt is null ? session.Tokens.Count : promptIds.Length,
                PromptSeconds = Seconds(prompt ?? total),
                GeneratedTokens = ids.Count,
                GenerationSeconds = Seconds(prompt is null ? TimeSpan.Zero : total - prompt.Value),
            },
        };
    }

    private static double Seconds(TimeSpan time) => Math.Round(time.TotalSeconds, 6);

    private sealed class PromptProgress(ProgressBar bar, int total) : IProgress<int>
    {
        public void Report(int value) => bar.Report((double)value / total, value, total);
    }
}
