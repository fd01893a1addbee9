namespace Xlstm.Sessions;

/// <summary>
/// A state that sessions, snapshots and cache nodes hold together until one of them wants to move it on, which then takes a
/// copy. That makes snapshot, fork and restore cost nothing themselves, and a snapshot that nobody moves away from free.
/// Every holder releases its hold once; holders may be on different threads.
/// </summary>
internal sealed class SharedState
{
    private readonly StatePool _pool;
    private readonly RecurrentState _state;
    private int _holders = 1;

    /// <param name="pool">Where the state goes back to.</param>
    /// <param name="state">A state of that pool, owned from here on.</param>
    public SharedState(StatePool pool, RecurrentState state) => (_pool, _state) = (pool, state);

    /// <summary>The state, to be read.</summary>
    public RecurrentState State => _state;

    /// <summary>One holder more. The caller is a holder itself, so the state cannot go away meanwhile.</summary>
    public SharedState Share()
    {
        Interlocked.Increment(ref _holders);
        return this;
    }

    /// <summary>One holder less; the last gives the state back.</summary>
    public void Release()
    {
        if (Interlocked.Decrement(ref _holders) == 0)
        {
            _pool.Return(_state);
        }
    }

    /// <summary>Trades the caller's hold for one on a state of the same content that nobody else holds: this one if it is alone, else a copy.</summary>
    /// <exception cref="XlstmException">The machine has not the memory for a copy; the caller still holds this one.</exception>
    public SharedState Own()
    {
        // A count of one cannot rise behind the caller's back: only holders share, and the caller is the only one.
        if (Volatile.Read(ref _holders) == 1)
        {
            return this;
        }

        RecurrentState copy = _pool.Rent();
        copy.CopyFrom(_state);
        Release();
        return new SharedState(_pool, copy);
    }
}
