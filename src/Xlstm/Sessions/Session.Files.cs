using Xlstm.Sessions;

namespace Xlstm;

/// <summary>Onto the disk and back.</summary>
public sealed partial class Session
{
    /// <summary>Saves the session as it is now; it may go on meanwhile. As <see cref="Snapshot.SaveAsync"/>.</summary>
    /// <param name="path">The file; replaced in one step if it exists.</param>
    /// <param name="format">How the file holds the state; null as the model does, which loses nothing.</param>
    /// <param name="note">A text of the caller's own, which <see cref="SessionFile.ReadInfo"/> gives back.</param>
    /// <param name="cancellationToken">Ends the save; the old file stays.</param>
    /// <exception cref="XlstmException">The file cannot be written; the old one stays.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public async Task SaveAsync(string path, StateFormat? format = null, string note = "", CancellationToken cancellationToken = default)
    {
        using Snapshot snapshot = Snapshot();
        await snapshot.SaveAsync(path, format, note, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// A session that stands where a saved one stood, on any device. What comes next is bit for bit what came next then, on
    /// the same device, with the same formats of weights and state, unless a float32 state was saved as <see cref="StateFormat.BFloat16"/>.
    /// </summary>
    /// <param name="model">The model that the file is of.</param>
    /// <param name="path">The file.</param>
    /// <param name="snapshots">Which states of its past it keeps from here on; null keeps none.</param>
    /// <param name="cancellationToken">Ends the load.</param>
    /// <exception cref="XlstmException">The file is missing, damaged, cut off, of another model or of a newer version.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public static async Task<Session> LoadAsync(XlstmModel model, string path, SnapshotPolicy? snapshots = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentException.ThrowIfNullOrEmpty(path);
        snapshots?.Validate();
        return await Task.Run(
            () =>
            {
                SessionFileContent content = SessionFileReader.Read(path, model, cancellationToken);
                var history = new StateHistory(snapshots ?? SnapshotPolicy.None);
                SharedState state = content.Mark?.State ?? new SharedState(model.States, model.States.RentReset());
                var session = new Session(model, history, null, state) { _fed = content.Header.Position, _segments = content.Segments };
                session._tokens.AddRange(content.Tokens);
                content.Mark?.Logits.CopyTo(session._logits, 0);
                session.Mark();
                return session;
            },
            cancellationToken).ConfigureAwait(false);
    }
}
