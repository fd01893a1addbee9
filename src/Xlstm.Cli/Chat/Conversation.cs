using System.Text;

namespace Xlstm.Cli.Chat;

/// <summary>A message of the user, the model's reply, and where both lie on the session's timeline.</summary>
/// <param name="User">What the user said.</param>
/// <param name="Reply">What the model said; as far as it got.</param>
/// <param name="Start">Tokens before the message.</param>
/// <param name="ReplyStart">Tokens before the reply.</param>
internal sealed record Turn(string User, string Reply, int Start, int ReplyStart);

/// <summary>
/// A conversation on a session. What has been said is never read again: a message is appended to the state as it is, and undo,
/// regeneration and edits go back to the states kept at every turn.
/// </summary>
internal sealed class Conversation : IDisposable
{
    private readonly Session _session;
    private readonly ChatTemplate _template;
    private readonly List<Turn> _turns;

    private Conversation(Session session, ChatTemplate template, string system, IEnumerable<Turn> turns)
    {
        (_session, _template, System, _turns) = (session, template, system, [.. turns]);
    }

    public string System { get; }

    public IReadOnlyList<Turn> Turns => _turns;

    public Session Session => _session;

    /// <summary>A conversation that starts from nothing.</summary>
    public static Conversation Create(XlstmModel model, ChatTemplate template, string system) => new(model.CreateSession(Policy(model)), template, system, []);

    /// <summary>Goes on with a saved one.</summary>
    /// <exception cref="XlstmException">The file is bad, of another model or not of a conversation.</exception>
    public static async Task<Conversation> LoadAsync(XlstmModel model, ChatTemplate template, string path, CancellationToken cancellationToken)
    {
        var note = ConversationNote.Parse(path, SessionFile.ReadInfo(path));
        return new(await Session.LoadAsync(model, path, Policy(model), cancellationToken).ConfigureAwait(false), template, note.System, note.Turns);
    }

    public Task SaveAsync(string path) => _session.SaveAsync(path, note: new ConversationNote(System, _turns).ToJson());

    /// <summary>One like this that goes its own way.</summary>
    public Conversation Fork() => new(_session.Fork(), _template, System, _turns);

    /// <summary>Appends a message and generates the reply.</summary>
    /// <param name="message">What the user says.</param>
    /// <param name="options">How the reply is chosen.</param>
    /// <param name="receive">Called with each token.</param>
    /// <param name="progress">Told the number of tokens of the message read.</param>
    /// <param name="cancellationToken">Breaks the reply off; what there is of it stays.</param>
    public async Task SendAsync(string message, GenerationOptions options, Action<GeneratedToken> receive, IProgress<int>? progress, CancellationToken cancellationToken)
    {
        int start = _session.Tokens.Count;
        _session.Mark();
        using var before = _session.Snapshot();
        try
        {
            Feed(_template.Render([.. Messages(), new ChatMessage(ChatMessage.User, message)], forReply: true), progress, cancellationToken);
        }
        catch
        {
            _session.Restore(before);
            throw;
        }

        _session.Mark();
        _turns.Add(new Turn(message, "", start, _session.Tokens.Count));
        await ReplyAsync(options, receive, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Has the model reply to the last message once more.</summary>
    public async Task RegenerateAsync(GenerationOptions options, Action<GeneratedToken> receive, CancellationToken cancellationToken)
    {
        _turns[^1] = _turns[^1] with { Reply = "" };
        _session.Rewind(_turns[^1].ReplyStart, null, cancellationToken);
        await ReplyAsync(options, receive, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Takes the last message and its reply back.</summary>
    /// <returns>The message.</returns>
    public string Undo()
    {
        Turn last = _turns[^1];
        _turns.RemoveAt(_turns.Count - 1);
        _session.Rewind(last.Start);
        return last.User;
    }

    public void Dispose() => _session.Dispose();

    private async Task ReplyAsync(GenerationOptions options, Action<GeneratedToken> receive, CancellationToken cancellationToken)
    {
        var reply = new StringBuilder();
        try
        {
            await foreach (var token in _session.GenerateAsync(options with { StopStrings = [.. _template.StopStrings, .. options.StopStrings] }, cancellationToken).ConfigureAwait(false))
            {
                reply.Append(token.Text);
                receive(token);
            }
        }
        finally
        {
            _turns[^1] = _turns[^1] with { Reply = reply.ToString() };
        }
    }

    private IEnumerable<ChatMessage> Messages() =>
        [
            .. System.Length > 0 ? [new ChatMessage(ChatMessage.System, System)] : Array.Empty<ChatMessage>(),
            .. _turns.SelectMany(turn => new[] { new ChatMessage(ChatMessage.User, turn.User), new ChatMessage(ChatMessage.Assistant, turn.Reply) }),
        ];

    /// <summary>
    /// Brings the session to a text. As a rule that begins with what its tokens say, stop string included, and only the rest is
    /// read. A template that writes the past differently makes the session go back to the last turn that agrees.
    /// </summary>
    private void Feed(string text, IProgress<int>? progress, CancellationToken cancellationToken)
    {
        var tokenizer = _session.Model.Tokenizer!;
        for (int known = _turns.Count; known >= 0; known--)
        {
            int position = known == _turns.Count ? _session.Tokens.Count : _turns[known].Start;
            string past = TextUpTo(position);
            if (position == 0 || text.StartsWith(past, StringComparison.Ordinal))
            {
                string rest = text[past.Length..];
                int[] ids = [.. _session.Tokens.Take(position), .. position == 0 ? [_session.Model.BeginOfText] : Array.Empty<int>(), .. tokenizer.Encode(rest)];
                _session.SyncTo(ids, progress, cancellationToken);
                return;
            }
        }
    }

    private string TextUpTo(int position)
    {
        int[] ids = [.. _session.Tokens.Take(position)];
        return _session.Model.Tokenizer!.Decode(ids.Length > 0 && ids[0] == _session.Model.BeginOfText ? ids.AsSpan(1) : ids);
    }

    // Only turns are kept, as many as fit into a gigabyte, but never fewer than it takes to undo the last.
    private static SnapshotPolicy Policy(XlstmModel model) => new() { Interval = 0, ByteBudget = Math.Max(1L << 30, 4 * (model.StateBytes + (sizeof(float) * (long)model.Config.VocabSize))) };
}
