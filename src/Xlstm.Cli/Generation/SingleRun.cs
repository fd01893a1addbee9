using Xlstm.Cli.Output;

namespace Xlstm.Cli.Generation;

/// <summary>Runs one job on a model, with a bar while a long prompt is read.</summary>
internal static class SingleRun
{
    /// <param name="model">The model.</param>
    /// <param name="promptIds">The ids to feed.</param>
    /// <param name="job">The job.</param>
    /// <param name="receive">Called with each token as it is made.</param>
    /// <param name="cancellationToken">Ends the run early: the result then holds what there was by then.</param>
    public static async Task<GenerationResult> RunAsync(XlstmModel model, int[] promptIds, GenerationJob job, Action<GeneratedToken> receive, CancellationToken cancellationToken)
    {
        using var session = model.CreateSession();
        var record = new JobRecord(model, job, promptIds);
        try
        {
            using (var bar = new ProgressBar("Reading prompt", "tok", TimeSpan.FromSeconds(1), keep: false))
            {
                session.Append(promptIds, new PromptProgress(bar, promptIds.Length), cancellationToken);
                bar.Finish();
            }
            record.PromptDone();
            await foreach (var token in session.GenerateAsync(record.Options, cancellationToken).ConfigureAwait(false))
            {
                record.Add(token);
                receive(token);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
        }
        return record.ToResult(session.Tokens.Count);
    }

    private sealed class PromptProgress(ProgressBar bar, int total) : IProgress<int>
    {
        public void Report(int value) => bar.Report((double)value / total, value, total);
    }
}
