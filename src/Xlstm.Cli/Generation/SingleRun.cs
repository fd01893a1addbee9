using Xlstm.Cli.Output;

namespace Xlstm.Cli.Generation;

/// <summary>Runs one job on a model, with a bar while a long prompt is read.</summary>
internal static class SingleRun
{
    /// <param name="session">Where to go on. What is broken off stays queued on it, so that it can be saved and go on later.</param>
    /// <param name="promptIds">The ids to feed.</param>
    /// <param name="job">The job.</param>
    /// <param name="receive">Called with each token as it is made.</param>
    /// <param name="cancellationToken">Ends the run early: the result then holds what there was by then.</param>
    public static async Task<GenerationResult> RunAsync(Session session, int[] promptIds, GenerationJob job, Action<GeneratedToken> receive, CancellationToken cancellationToken)
    {
        var record = new JobRecord(session.Model, job, promptIds);
        session.Queue(promptIds);
        int waiting = session.Waiting;
        try
        {
            using (var bar = new ProgressBar("Reading prompt", "tok", TimeSpan.FromSeconds(1), keep: false))
            {
                session.Append([], new PromptProgress(bar, waiting), cancellationToken);
                bar.Finish();
            }
            record.PromptDone(waiting);
            await foreach (var token in session.GenerateAsync(record.Options, cancellationToken).ConfigureAwait(false))
            {
                record.Add(token);
                receive(token);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            record.PromptBroken(waiting - session.Waiting);
        }
        return record.ToResult();
    }

    private sealed class PromptProgress(ProgressBar bar, int total) : IProgress<int>
    {
        public void Report(int value) => bar.Report((double)value / total, value, total);
    }
}
