using Xlstm.Backends;

namespace Xlstm.Sessions;

/// <summary>
/// Hands out states and keeps a few that came back: a fresh one costs as much as a copy again, because the operating system
/// hands its pages out one fault at a time. Thread-safe.
/// </summary>
/// <param name="backend">Where states live.</param>
internal sealed class StatePool(Backend backend) : IDisposable
{
    // One for a session that moves on from a snapshot, one for the snapshot that this replaces.
    private const int MostSpares = 2;

    private readonly Stack<RecurrentState> _spares = [];
    private bool _disposed;

    /// <summary>A state of unknown content.</summary>
    /// <exception cref="XlstmException">The machine has not the memory for another state.</exception>
    public RecurrentState Rent()
    {
        lock (_spares)
        {
            if (_spares.TryPop(out RecurrentState? spare))
            {
                return spare;
            }
        }

        return backend.CreateState();
    }

    /// <summary>A state before the first token.</summary>
    /// <exception cref="XlstmException">The machine has not the memory for another state.</exception>
    public RecurrentState RentReset()
    {
        lock (_spares)
        {
            if (_spares.TryPop(out RecurrentState? spare))
            {
                spare.Reset();
                return spare;
            }
        }

        return backend.CreateState();
    }

    /// <summary>Takes a state back.</summary>
    public void Return(RecurrentState state)
    {
        lock (_spares)
        {
            if (!_disposed && _spares.Count < MostSpares)
            {
                _spares.Push(state);
                return;
            }
        }

        state.Dispose();
    }

    /// <summary>Frees the spares; states that come back later are freed at once.</summary>
    public void Dispose()
    {
        lock (_spares)
        {
            _disposed = true;
            while (_spares.TryPop(out RecurrentState? spare))
            {
                spare.Dispose();
            }
        }
    }
}
