using System.Runtime.InteropServices;
using Xlstm.Sessions;

namespace Xlstm;

/// <summary>Going back, forth and apart.</summary>
public sealed partial class Session
{
    /// <summary>Positions of the states that the session keeps of its past, ascending: going back to one of them reads nothing again.</summary>
    public IReadOnlyList<int> Marks => [.. _history.Positions];

    /// <summary>The session as it is now, waiting tokens included. Costs next to nothing itself; the session copies its state when it next moves on.</summary>
    public Snapshot Snapshot()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return new Snapshot(Model, [.. _tokens], new SegmentLog(_segments.Runs), _fed == 0 ? null : MarkHere());
    }

    /// <summary>Makes the session what it was when the snapshot was taken; what comes next is what came next then. The snapshot stays as it is.</summary>
    /// <param name="snapshot">A snapshot of any session of this model, or of the same model loaded on another device.</param>
    /// <exception cref="XlstmException">The snapshot is of another model.</exception>
    /// <exception cref="ObjectDisposedException">The snapshot was disposed.</exception>
    public void Restore(Snapshot snapshot)
    {
        ArgumentNullException.ThrowIfNull(snapshot);
        ObjectDisposedException.ThrowIf(_disposed, this);
        StateMark? mark = snapshot.Mark;
        if (snapshot.Model == Model)
        {
            SetState(mark);
        }
        else if (snapshot.Model.Fingerprint == Model.Fingerprint)
        {
            SetForeignState(mark);
        }
        else
        {
            throw new XlstmException($"the snapshot is of another model: {snapshot.Model.Folder}, not {Model.Folder}");
        }

        _history.Truncate(CommonPrefix(snapshot.TokenSpan));
        _tokens.Clear();
        _tokens.AddRange(snapshot.TokenSpan);
        _segments = new SegmentLog(snapshot.Segments.Runs);
    }

    /// <summary>An independent session that stands where this one stands and keeps the same states of the past. Both share the state's memory until one of them moves on.</summary>
    public Session Fork()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        var fork = new Session(Model, _history.Fork(), _cache, _state.Share()) { _fed = _fed, _chunk = _chunk, _segments = new SegmentLog(_segments.Runs) };
        fork._tokens.AddRange(CollectionsMarshal.AsSpan(_tokens));
        if (_fed > 0)
        {
            LastLogits.CopyTo(fork._logits);
        }

        return fork;
    }

    /// <summary>Keeps the state as it is now among those that <see cref="Rewind"/> goes back to, inside the budget of the session's <see cref="SnapshotPolicy"/>.</summary>
    public void Mark()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_fed > 0 && _history.Policy.ByteBudget > 0)
        {
            _history.Add(MarkHere());
        }
    }

    /// <summary>
    /// Forgets the tokens from a position on: goes back to the last state kept at or before it and feeds the tokens between
    /// again, cut into forward passes as they were the first time.
    /// </summary>
    /// <param name="position">Tokens to keep, in [0, number of tokens].</param>
    /// <param name="progress">Told the number of tokens fed again so far.</param>
    /// <param name="cancellationToken">Honoured between forward passes: what has not been fed again then waits.</param>
    /// <returns>Tokens that had to be fed again.</returns>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public int Rewind(int position, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(position, _tokens.Count);
        int target = GoBack(position);
        int start = _fed;
        FeedTo(target, progress, cancellationToken);
        return _fed - start;
    }

    /// <summary>
    /// Brings the session to exactly these tokens at the least cost: keeps the longest common prefix, goes back by the states
    /// kept (or the prefix cache) if it must, and feeds the rest. For callers that hold the whole conversation, as chat
    /// interfaces do.
    /// </summary>
    /// <param name="tokens">Token ids, each in [0, V).</param>
    /// <param name="progress">Told the number of tokens fed so far.</param>
    /// <param name="cancellationToken">Honoured between forward passes: the session then holds the common tokens and those of the rest that were fed.</param>
    /// <returns>What was kept and what was fed.</returns>
    /// <exception cref="XlstmException">An id is not in the vocabulary; nothing has changed.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public SyncReport SyncTo(ReadOnlySpan<int> tokens, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        CheckIds(tokens);
        int common = CommonPrefix(tokens);
        int removed = _tokens.Count - common;
        GoBack(common);
        _tokens.AddRange(tokens[common..]);
        try
        {
            int fed = FeedAll(progress, cancellationToken);
            return new SyncReport(common, removed, tokens.Length - fed, fed);
        }
        catch
        {
            DropTokens(Math.Max(common, _fed));
            throw;
        }
    }

    /// <summary>Goes on from a state of the prefix cache that holds more of the session's tokens than its own.</summary>
    /// <param name="mark">After a prefix of <see cref="Tokens"/> that is longer than what has been fed; still the caller's.</param>
    internal void SkipTo(StateMark mark)
    {
        _segments.Truncate(_fed);
        _segments.Add(mark.Position - _fed);
        SetState(mark);
    }

    /// <summary>Tokens that the state holds.</summary>
    internal int FedCount => _fed;

    internal ReadOnlySpan<int> TokenSpan => CollectionsMarshal.AsSpan(_tokens);

    /// <summary>Drops the tokens from a position on and takes the nearest state at or before it. The tokens between wait.</summary>
    /// <returns>Where feeding should stop for the session to stand as it stood at that position: before the last token if that one waited.</returns>
    private int GoBack(int position)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        int target = Math.Min(position, _fed);
        if (position < _fed)
        {
            bool waited = position > 0 && !_segments.IsEnd(position) && _segments.IsEnd(position - 1);
            target = waited ? position - 1 : position;
            SetState(_history.LastUpTo(target));
        }

        _history.Truncate(_fed);
        DropTokens(position);
        _segments.Truncate(Math.Max(target, _fed));
        return target;
    }

    private void DropTokens(int position)
    {
        _tokens.RemoveRange(position, _tokens.Count - position);
        _segments.Truncate(position);
    }

    /// <summary>The present state, its hold the caller's. At least one token has been fed.</summary>
    internal StateMark MarkHere() => new(_fed, _state.Share(), LastLogits.ToArray());

    /// <param name="mark">Still the caller's; null is the state before the first token.</param>
    private void SetState(StateMark? mark)
    {
        SharedState state = mark?.State.Share() ?? new SharedState(Model.States, Model.States.RentReset());
        _state.Release();
        _state = state;
        _fed = mark?.Position ?? 0;
        _logitsStayed = false;
        mark?.Logits.CopyTo(_logits, 0);
    }

    private void SetForeignState(StateMark? mark)
    {
        if (mark is null)
        {
            SetState(null);
            return;
        }

        RecurrentState state = Model.States.Rent();
        var block = new float[RecurrentState.BlockFloatCount(Model.Config)];
        for (int i = 0; i < Model.Config.NumBlocks; i++)
        {
            mark.State.State.CopyBlockTo(i, block);
            state.CopyBlockFrom(i, block);
        }

        _state.Release();
        _state = new SharedState(Model.States, state);
        _fed = mark.Position;
        _logitsStayed = false;
        mark.Logits.CopyTo(_logits, 0);
    }

    private int CommonPrefix(ReadOnlySpan<int> tokens) => CollectionsMarshal.AsSpan(_tokens).CommonPrefixLength(tokens);
}
