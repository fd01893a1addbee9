namespace Xlstm.Cli.Generation;

/// <summary>Runs many jobs, several at a time: a step reads the weights once for all of them. A job's text is the one it would have alone.</summary>
internal static class BatchRun
{
    /// <param name="model">The model.</param>
    /// <param name="jobs">The jobs and the ids to feed.</param>
    /// <param name="width">Jobs that run together.</param>
    /// <param name="receive">Called with each job's result, in the order of the jobs, as soon as it and those before it are done.</param>
    /// <param name="cancellationToken">Ends the run early: results then hold what there was by then, and jobs not begun have none.</param>
    public static async Task RunAsync(XlstmModel model, IReadOnlyList<(GenerationJob Job, int[] PromptIds)> jobs, int width, Action<GenerationResult> receive, CancellationToken cancellationToken)
    {
        var generator = new BatchGenerator(model);
        var running = new Dictionary<Session, JobRecord>();
        var waiting = new Queue<JobRecord>();
        try
        {
            int next = 0;
            while (next < jobs.Count || generator.Count > 0)
            {
                for (; next < jobs.Count && generator.Count < width; next++)
                {
                    Begin(jobs[next].Job, jobs[next].PromptIds);
                }

                foreach (var (session, token) in await generator.StepAsync(cancellationToken).ConfigureAwait(false))
                {
                    running[session].PromptDone();
                    running[session].Add(token);
                    End(session);
                }
                while (waiting.TryPeek(out var first) && first.IsFinished)
                {
                    receive(waiting.Dequeue().ToResult());
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            foreach (var record in waiting)
            {
                receive(record.ToResult());
            }
        }
        finally
        {
            foreach (var session in running.Keys)
            {
                session.Dispose();
            }
        }

        void Begin(GenerationJob job, int[] promptIds)
        {
            var session = model.CreateSession();
            var record = new JobRecord(model, job, promptIds);
            waiting.Enqueue(record);
            running.Add(session, record);
            generator.Add(session, promptIds, record.Options);
            End(session);
        }

        // A state is large: it goes as soon as its job is done, though the result may have to wait for those before it.
        void End(Session session)
        {
            if (running[session].IsFinished && running.Remove(session))
            {
                session.Dispose();
            }
        }
    }
}
