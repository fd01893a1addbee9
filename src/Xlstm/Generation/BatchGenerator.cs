using Xlstm.Backends;
using Xlstm.Generation;

namespace Xlstm;

/// <summary>What one step of a batch made for one of its sessions.</summary>
/// <param name="Session">The session.</param>
/// <param name="Token">Its next token; the session has left the batch if it is the last.</param>
public readonly record struct BatchToken(Session Session, GeneratedToken Token);

/// <summary>
/// Generates on several sessions of one model together: each step reads the weights once for all of them, and sessions may
/// come and go between steps. A session's tokens are those it would have made alone. Not thread-safe.
/// </summary>
public sealed class BatchGenerator
{
    private readonly XlstmModel _model;
    private readonly List<GenerationEntry> _active = [];
    private readonly List<GenerationEntry> _items = [];
    private readonly List<BatchToken> _made = [];
    private readonly BackgroundStep _step;
    private readonly List<BatchItem> _batch = [];

    /// <param name="model">The model of all sessions.</param>
    public BatchGenerator(XlstmModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        _step = new BackgroundStep(Step);
    }

    /// <summary>Sessions that are not finished.</summary>
    public int Count => _active.Count;

    /// <summary>Takes a session into the batch. It must not be used otherwise until it has finished.</summary>
    /// <param name="session">A session of this model.</param>
    /// <param name="ids">Token ids to feed first, as they are; may be empty.</param>
    /// <param name="options">What to make; null takes the model's <see cref="XlstmModel.DefaultGeneration"/>.</param>
    /// <exception cref="XlstmException">An id or option is out of its range; the session is as it was.</exception>
    /// <exception cref="InvalidOperationException">The batch is full: it has as many sessions as a forward pass takes tokens.</exception>
    public void Add(Session session, ReadOnlySpan<int> ids, GenerationOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(session);
        if (session.Model != _model)
        {
            throw new ArgumentException("the session belongs to another model", nameof(session));
        }

        if (_active.Count == _model.Backend.MaxBatchTokens)
        {
            throw new InvalidOperationException($"the batch has {_active.Count} sessions and takes no more");
        }

        options ??= _model.DefaultGeneration;
        options.Validate();
        session.Queue(ids);
        var run = new GenerationRun(session, options);
        if (!run.IsFinished)
        {
            _active.Add(new GenerationEntry(session, run));
        }
    }

    /// <summary>One forward pass over all sessions: decoding ones make a token, new ones read on in their prompts.</summary>
    /// <returns>The tokens made, in the order in which the sessions came; none in a step that was all prompts. Valid until the next step.</returns>
    /// <param name="cancellationToken">Honoured before the pass.</param>
    public async ValueTask<IReadOnlyList<BatchToken>> StepAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        _made.Clear();
        if (_active.Count > 0)
        {
            await _step.RunAsync().ConfigureAwait(false);
        }

        return _made;
    }

    private void Step()
    {
        // Every session moves on by a token at least; the rest of the batch goes to prompts, first come first served.
        int room = _model.Backend.MaxBatchTokens - _active.Count;
        foreach (GenerationEntry entry in _active)
        {
            BatchItem item = entry.Session.NextItem(1 + room, entry.Run.Shortlist);
            room -= item.Tokens.Length - 1;
            _batch.Add(item);
            _items.Add(entry);
        }

        try
        {
            _model.Backend.Forward(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_batch));
            for (int i = 0; i < _items.Count; i++)
            {
                (Session session, GenerationRun run) = _items[i];
                session.Fed(_batch[i]);
                if (session.Waiting == 0)
                {
                    _made.Add(new BatchToken(session, run.Next()));
                }
            }
        }
        finally
        {
            _batch.Clear();
            _items.Clear();
        }

        _active.RemoveAll(entry => entry.Run.IsFinished);
    }

    private readonly record struct GenerationEntry(Session Session, GenerationRun Run);
}
