using System.Threading.Tasks.Sources;

namespace Xlstm;

/// <summary>Runs the same piece of work on the thread pool again and again, awaited each time, without allocating. One run at a time.</summary>
internal sealed class BackgroundStep(Action work) : IThreadPoolWorkItem, IValueTaskSource
{
    private ManualResetValueTaskSourceCore<bool> _source;

    /// <summary>Starts the work; the task ends with it, or with its exception.</summary>
    public ValueTask RunAsync()
    {
        _source.Reset();
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: true);
        return new ValueTask(this, _source.Version);
    }

    void IThreadPoolWorkItem.Execute()
    {
        try
        {
            work();
        }
        catch (Exception e)
        {
            _source.SetException(e);
            return;
        }

        _source.SetResult(true);
    }

    void IValueTaskSource.GetResult(short token) => _source.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);
}
