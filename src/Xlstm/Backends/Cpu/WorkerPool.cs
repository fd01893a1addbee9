namespace Xlstm.Backends.Cpu;

/// <summary>Work that all threads of a <see cref="WorkerPool"/> do together.</summary>
internal interface IParallelWork
{
    /// <summary>One thread's share. Must not throw: the others would wait for it at the next barrier for ever.</summary>
    /// <param name="worker">This thread's number, in [0, <see cref="WorkerPool.Threads"/>).</param>
    void Execute(int worker);
}

/// <summary>
/// Persistent threads that run one piece of work together, with barriers inside it. A forward pass is hundreds of short
/// steps, so threads wait for each other by spinning; between passes they spin briefly and then park, so that an idle model
/// costs nothing.
/// </summary>
internal sealed class WorkerPool : IDisposable
{
    // About 50 us at a pause of some 40 ns: longer than sampling a token takes, so a decoding stream finds its threads awake.
    private const int SpinsBeforePark = 1200;

    // Within a pass the others are at most a step behind; past this the machine is oversubscribed and the core is worth giving up.
    private const int SpinsBeforeYield = 1000;

    private readonly Thread[] _threads;
    private readonly SemaphoreSlim[] _wake;
    private readonly int[] _parked;
    private IParallelWork? _work;
    private int _generation;
    private int _arrived;
    private int _barrierPhase;
    private volatile bool _stopping;

    /// <param name="threads">Threads in all; the caller of <see cref="Run"/> is one of them.</param>
    public WorkerPool(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        Threads = threads;
        _threads = new Thread[threads - 1];
        _wake = new SemaphoreSlim[threads - 1];
        _parked = new int[threads - 1];
        for (int i = 0; i < _threads.Length; i++)
        {
            int worker = i + 1;
            _wake[i] = new SemaphoreSlim(0);
            _threads[i] = new Thread(() => Loop(worker)) { IsBackground = true, Name = $"xlstm worker {worker}" };
            _threads[i].Start();
        }
    }

    /// <summary>Threads in all, the caller's included.</summary>
    public int Threads { get; }

    /// <summary>One worker's contiguous share [First, Last) of a number of like pieces.</summary>
    public static (int First, int Last) Share(int count, int worker, int workers) =>
        ((int)((long)count * worker / workers), (int)((long)count * (worker + 1) / workers));

    /// <summary>One worker's contiguous share [First, Last) of a number of like pieces.</summary>
    public (int First, int Last) Share(int count, int worker) => Share(count, worker, Threads);

    /// <summary>Runs <paramref name="work"/> on every thread and returns when all are done. One call at a time.</summary>
    public void Run(IParallelWork work)
    {
        ObjectDisposedException.ThrowIf(_stopping, this);
        _work = work;
        Interlocked.Increment(ref _generation); // a full fence: workers that see it see _work
        for (int i = 0; i < _parked.Length; i++)
        {
            if (Interlocked.Exchange(ref _parked[i], 0) == 1)
            {
                _wake[i].Release();
            }
        }

        work.Execute(0);
        Barrier();
        _work = null;
    }

    /// <summary>Waits, inside <see cref="IParallelWork.Execute"/>, until every thread has come here; what they wrote before is then visible to all.</summary>
    public void Barrier()
    {
        if (Threads == 1)
        {
            return;
        }

        int phase = Volatile.Read(ref _barrierPhase);
        if (Interlocked.Increment(ref _arrived) == Threads)
        {
            _arrived = 0;
            Volatile.Write(ref _barrierPhase, phase + 1);
            return;
        }

        for (int spins = 0; Volatile.Read(ref _barrierPhase) == phase; spins++)
        {
            if (spins < SpinsBeforeYield)
            {
                Thread.SpinWait(1);
            }
            else
            {
                Thread.Yield();
            }
        }
    }

    /// <summary>Ends the threads. No <see cref="Run"/> may be under way.</summary>
    public void Dispose()
    {
        if (_stopping)
        {
            return;
        }

        _stopping = true;
        Interlocked.Increment(ref _generation);
        foreach (SemaphoreSlim wake in _wake)
        {
            wake.Release();
        }

        foreach (Thread thread in _threads)
        {
            thread.Join();
        }

        foreach (SemaphoreSlim wake in _wake)
        {
            wake.Dispose();
        }
    }

    private void Loop(int worker)
    {
        int seen = 0;
        while (true)
        {
            WaitForWork(worker - 1, seen);
            seen++;
            if (_stopping)
            {
                return;
            }

            _work!.Execute(worker);
            Barrier();
        }
    }

    private void WaitForWork(int index, int seen)
    {
        for (int spins = 0; spins < SpinsBeforePark; spins++)
        {
            if (Volatile.Read(ref _generation) != seen)
            {
                return;
            }

            Thread.SpinWait(1);
        }

        Interlocked.Exchange(ref _parked[index], 1);
        if (Volatile.Read(ref _generation) != seen && Interlocked.Exchange(ref _parked[index], 0) == 1)
        {
            return; // work came between the last look and the parking, and nobody has released the semaphore for it
        }

        _wake[index].Wait();
    }
}
