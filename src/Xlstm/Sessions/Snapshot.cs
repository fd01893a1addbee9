using Xlstm.Sessions;

namespace Xlstm;

/// <summary>
/// A session as it was at one moment: its tokens, its state, its logits. Never changes. It shares the state's memory with the
/// session until that moves on. Safe to use from several threads; <see cref="Dispose"/> last.
/// </summary>
public sealed class Snapshot : IDisposable
{
    private readonly int[] _tokens;
    private readonly StateMark? _mark;
    private bool _disposed;

    /// <param name="model">The session's model.</param>
    /// <param name="tokens">Owned from here on.</param>
    /// <param name="segments">Owned from here on.</param>
    /// <param name="mark">The state after the tokens that have been fed, its hold owned from here on; null if none have.</param>
    internal Snapshot(XlstmModel model, int[] tokens, SegmentLog segments, StateMark? mark)
    {
        Model = model;
        (_tokens, Segments, _mark) = (tokens, segments, mark);
    }

    /// <summary>The model it was taken on.</summary>
    public XlstmModel Model { get; }

    /// <summary>The tokens at that moment.</summary>
    public IReadOnlyList<int> Tokens => _tokens;

    /// <summary>Tokens at the end that the state does not hold: they are fed when a session restored from here goes on.</summary>
    public int Waiting => _tokens.Length - (_mark?.Position ?? 0);

    /// <summary>Bytes held; the state's share is also the session's until that moves on.</summary>
    public long ByteLength => (sizeof(int) * (long)_tokens.Length) + (_mark?.ByteLength ?? 0);

    internal ReadOnlySpan<int> TokenSpan => _tokens;

    internal SegmentLog Segments { get; }

    /// <summary>The state after the tokens that have been fed; null if none have. Still the snapshot's.</summary>
    internal StateMark? Mark
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _mark;
        }
    }

    /// <summary>Saves the snapshot to a file that <see cref="Session.LoadAsync"/> reads. The bytes go to a temporary file that takes the name once it is whole and on the disk.</summary>
    /// <param name="path">The file; replaced in one step if it exists.</param>
    /// <param name="format">How the file holds the state; null as the model does, which loses nothing.</param>
    /// <param name="note">A text of the caller's own, which <see cref="SessionFile.ReadInfo"/> gives back.</param>
    /// <param name="cancellationToken">Ends the save; the old file stays.</param>
    /// <exception cref="XlstmException">The file cannot be written; the old one stays.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public async Task SaveAsync(string path, StateFormat? format = null, string note = "", CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(note);

        // A hold of its own: the snapshot may be disposed meanwhile.
        StateMark? mark = Mark?.Share();
        try
        {
            await Task.Run(() => SessionFileWriter.Write(path, Model, _tokens, Segments, mark, format ?? Model.StateFormat, note, cancellationToken), cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            mark?.Release();
        }
    }

    /// <summary>Gives the state up. Sessions that were restored from here go on.</summary>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _mark?.Release();
        }
    }
}
