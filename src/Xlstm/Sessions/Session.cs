namespace Xlstm;

/// <summary>One timeline on a model: the tokens so far, the recurrent state after them, the logits of the last. Not thread-safe; different sessions may run on different threads.</summary>
public sealed class Session : IDisposable
{
    internal Session()
    {
    }

    /// <summary>The model this session runs on.</summary>
    public XlstmModel Model => throw new NotImplementedException();

    /// <summary>The tokens fed so far.</summary>
    public IReadOnlyList<int> Tokens => throw new NotImplementedException();

    /// <summary>Logits after the last token, float32 [V]; empty before the first. Valid until the session changes.</summary>
    public ReadOnlySpan<float> Logits => throw new NotImplementedException();

    /// <summary>Feeds text: encodes it and, on an empty session, puts the begin-of-text token first.</summary>
    public void Append(string text, IProgress<int>? progress = null, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Feeds token ids as they are (prefill): the state moves on and <see cref="Logits"/> are those after the last id.</summary>
    /// <param name="ids">Token ids, each in [0, V).</param>
    /// <param name="progress">Told the number of these ids fed so far.</param>
    /// <param name="cancellationToken">Honoured between chunks: the session then holds the chunks fed so far.</param>
    public void Append(ReadOnlySpan<int> ids, IProgress<int>? progress = null, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Feeds token ids and hands out the logits of every position, float32 [V] each.</summary>
    /// <param name="ids">Token ids, each in [0, V).</param>
    /// <param name="receive">Called for every position in order: its index among <paramref name="ids"/> and its logits, valid during the call.</param>
    /// <param name="cancellationToken">Honoured between chunks.</param>
    public void AppendWithLogits(ReadOnlySpan<int> ids, LogitsReceiver receive, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Generates from where the session stands (begin-of-text is fed first if the session is empty). Every yielded token but an end-of-text has been fed back, so that a session can go on after it.</summary>
    public IAsyncEnumerable<GeneratedToken> GenerateAsync(GenerationOptions? options = null, CancellationToken cancellationToken = default) => throw new NotImplementedException();

    /// <summary>Frees the state.</summary>
    public void Dispose() => throw new NotImplementedException();
}

/// <summary>Receives the logits of one position.</summary>
/// <param name="index">Index of the position among the ids of the call.</param>
/// <param name="logits">float32 [V], valid during the call.</param>
public delegate void LogitsReceiver(int index, ReadOnlySpan<float> logits);
