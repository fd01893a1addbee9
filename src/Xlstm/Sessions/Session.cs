using System.Diagnostics;
using System.Runtime.CompilerServices;
using Xlstm.Backends;
using Xlstm.Generation;
using Xlstm.Sessions;

namespace Xlstm;

/// <summary>
/// One timeline on a model: the tokens so far, the recurrent state after them, the logits of the last. Not thread-safe;
/// different sessions may run on different threads, and their forward passes take turns.
/// <para>
/// A session's past is one block of memory of fixed size, so it can be kept, shared and gone back to at little cost:
/// <see cref="Snapshot"/>, <see cref="Restore"/>, <see cref="Fork"/>, <see cref="Rewind"/>, <see cref="SyncTo"/>.
/// </para>
/// </summary>
public sealed partial class Session : IDisposable
{
    // A chunk is what cannot be interrupted: long enough to read the weights seldom, short enough to show progress.
    private const double SecondsPerChunk = 3;
    private const int LogitsChunk = 48;

    private readonly List<int> _tokens = [];
    private readonly int[] _ids;
    private readonly float[] _logits; // read through LastLogits
    private readonly StateHistory _history;
    private readonly PrefixCache? _cache;
    private SharedState _state;
    private SegmentLog _segments = new();
    private int _fed;
    private int _chunk;
    private bool _logitsStayed; // with the state on the device
    private bool _disposed;

    internal Session(XlstmModel model, SnapshotPolicy? snapshots = null, PrefixCache? cache = null)
        : this(model, new StateHistory(snapshots ?? SnapshotPolicy.None), cache, new SharedState(model.States, model.States.RentReset()))
    {
    }

    private Session(XlstmModel model, StateHistory history, PrefixCache? cache, SharedState state)
    {
        Model = model;
        (_history, _cache, _state) = (history, cache, state);
        _ids = new int[model.Backend.MaxBatchTokens];
        _chunk = model.Backend.SmallestChunk;
        _logits = new float[model.Config.VocabSize];
    }

    /// <summary>The model this session runs on.</summary>
    public XlstmModel Model { get; }

    /// <summary>The tokens so far: those appended and those generated.</summary>
    public IReadOnlyList<int> Tokens => _tokens;

    /// <summary>Logits after the last token, float32 [V]; empty before the first. Valid until the session changes. After a generation, asking for them feeds the last token.</summary>
    public ReadOnlySpan<float> Logits
    {
        get
        {
            FeedTo(_tokens.Count, null, CancellationToken.None);
            return _fed == 0 ? [] : LastLogits;
        }
    }

    /// <summary>Tokens at the end that the state does not hold yet: what was queued, or the last token of a generation, whose logits nobody has asked for.</summary>
    public int Waiting => _tokens.Count - _fed;

    /// <summary>Feeds text: encodes it and, on an empty session, puts the begin-of-text token first.</summary>
    /// <param name="text">Any text; empty on an empty session feeds begin-of-text alone.</param>
    /// <param name="progress">Told the number of tokens fed so far.</param>
    /// <param name="cancellationToken">Honoured between chunks: the session then holds the chunks fed so far.</param>
    /// <exception cref="XlstmException">The model has no tokenizer.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public void Append(string text, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(text);
        Tokenizer tokenizer = Model.Tokenizer ?? throw new XlstmException($"{Model.Folder}: has no tokenizer.json, so text cannot be read; give token ids");
        int[] ids = tokenizer.Encode(text);
        Append(_tokens.Count == 0 ? [Model.BeginOfText, .. ids] : ids, progress, cancellationToken);
    }

    /// <summary>Feeds token ids as they are (prefill): the state moves on and <see cref="Logits"/> are those after the last id.</summary>
    /// <param name="ids">Token ids, each in [0, V).</param>
    /// <param name="progress">Told the number of these ids fed so far.</param>
    /// <param name="cancellationToken">Honoured between chunks: the session then holds the chunks fed so far.</param>
    /// <exception cref="XlstmException">An id is not in the vocabulary; nothing has been fed.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public void Append(ReadOnlySpan<int> ids, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        int before = _tokens.Count;
        Queue(ids);
        try
        {
            FeedAll(progress, cancellationToken);
        }
        catch
        {
            DropTokens(Math.Max(before, _fed));
            throw;
        }
    }

    /// <summary>Takes in tokens without feeding them: they wait for the next append, generation or question for <see cref="Logits"/>.</summary>
    /// <param name="ids">Token ids, each in [0, V).</param>
    /// <exception cref="XlstmException">An id is not in the vocabulary; nothing has been taken.</exception>
    public void Queue(ReadOnlySpan<int> ids)
    {
        CheckIds(ids);
        _tokens.AddRange(ids);
    }

    /// <summary>Feeds token ids and hands out the logits of every position, float32 [V] each.</summary>
    /// <param name="ids">Token ids, each in [0, V).</param>
    /// <param name="receive">Called for every position in order.</param>
    /// <param name="cancellationToken">Honoured between chunks.</param>
    /// <exception cref="XlstmException">An id is not in the vocabulary; nothing has been fed.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public void AppendWithLogits(ReadOnlySpan<int> ids, LogitsReceiver receive, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(receive);
        CheckIds(ids);
        FeedTo(_tokens.Count, null, cancellationToken);
        int vocabSize = Model.Config.VocabSize;
        var logits = new float[Math.Min(ids.Length, LogitsChunk) * vocabSize];
        for (int first = 0; first < ids.Length; first += LogitsChunk)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int count = Math.Min(LogitsChunk, ids.Length - first);
            ReadOnlySpan<int> chunk = ids.Slice(first, count);
            chunk.CopyTo(_ids);
            var item = new BatchItem(OwnState(), _ids.AsMemory(0, count), Output.AllLogits, logits);
            Model.Backend.Forward([item]);
            _tokens.AddRange(chunk);
            logits.AsSpan((count - 1) * vocabSize, vocabSize).CopyTo(_logits);
            Fed(item);
            for (int i = 0; i < count; i++)
            {
                receive(first + i, logits.AsSpan(i * vocabSize, vocabSize));
            }
        }
    }

    /// <summary>
    /// Generates from where the session stands (an empty one starts with begin-of-text). Every token yielded, an end-of-text
    /// apart, is part of the session, so that it can go on after the last or after breaking off. The arithmetic runs on the
    /// thread pool; a step in steady state allocates nothing.
    /// </summary>
    /// <param name="options">What to make; null takes the model's <see cref="XlstmModel.DefaultGeneration"/>.</param>
    /// <param name="cancellationToken">Honoured between tokens.</param>
    /// <exception cref="XlstmException">An option is out of its range.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public async IAsyncEnumerable<GeneratedToken> GenerateAsync(GenerationOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var run = new GenerationRun(this, options ?? Model.DefaultGeneration);
        var step = new BackgroundStep(() => FeedTo(_tokens.Count, null, cancellationToken, shortlist: run.Shortlist));
        while (!run.IsFinished)
        {
            cancellationToken.ThrowIfCancellationRequested();
            await step.RunAsync().ConfigureAwait(false);
            yield return run.Next();
        }
    }

    /// <summary>Gives the state up, and those the session kept; snapshots and forks go on.</summary>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _state.Release();
            _history.Truncate(0);
        }
    }

    /// <summary>The next waiting tokens as an item of a batch; <see cref="Fed"/> follows once it has run.</summary>
    /// <param name="most">Most tokens to take, at least 1.</param>
    /// <param name="shortlist">What a sampler looks at of the logits after the last waiting token; null if anybody may look at all of them.</param>
    internal BatchItem NextItem(int most, Shortlist? shortlist = null)
    {
        int planned = _segments.Length > _fed ? _segments.EndAfter(_fed) - _fed : int.MaxValue;
        int count = Math.Min(Math.Min(Waiting, planned), most);
        System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_tokens).Slice(_fed, count).CopyTo(_ids);
        shortlist?.Clear();
        if (shortlist is not null && count == Waiting)
        {
            return new BatchItem(OwnState(), _ids.AsMemory(0, count), Output.Shortlist, default, shortlist);
        }

        // One position's logits are a small share of any pass, and a session that stops after it can go on sampling.
        return new BatchItem(OwnState(), _ids.AsMemory(0, count), Output.LastLogits, _logits);
    }

    /// <summary>Notes that a batch has run with <see cref="NextItem"/>.</summary>
    internal void Fed(in BatchItem item)
    {
        int end = _fed + item.Tokens.Length;
        if (_segments.Length <= _fed || _segments.EndAfter(_fed) != end)
        {
            _segments.Truncate(_fed);
            _segments.Add(item.Tokens.Length);
        }

        _fed = end;
        _logitsStayed = item.Output == Output.Shortlist;
        if (_history.IsDue(_fed))
        {
            Mark();
        }
    }

    /// <summary>The logits after the tokens fed, float32 [V]; at least one has been. Where only a shortlist of them came to the host, they are fetched now.</summary>
    internal ReadOnlySpan<float> LastLogits
    {
        get
        {
            if (_logitsStayed)
            {
                _state.State.CopyLogitsTo(_logits);
                _logitsStayed = false;
            }

            return _logits;
        }
    }

    /// <summary>Feeds what waits, by way of the prefix cache if there is one.</summary>
    /// <returns>Tokens that forward passes read; the others were in the cache.</returns>
    private int FeedAll(IProgress<int>? progress, CancellationToken cancellationToken)
    {
        int start = _fed;
        int skipped = 0;
        if (_cache is not null && Waiting > 0)
        {
            skipped = _cache.Skip(this);
            foreach (CacheStop stop in _cache.StopsOf(this))
            {
                FeedTo(stop.Position, progress, cancellationToken, start);
                _cache.Store(this, stop.OnDisk);
            }
        }

        FeedTo(_tokens.Count, progress, cancellationToken, start);
        return _fed - start - skipped;
    }

    private void FeedTo(int end, IProgress<int>? progress, CancellationToken cancellationToken, int? progressStart = null, Shortlist? shortlist = null)
    {
        int start = progressStart ?? _fed;
        while (_fed < end)
        {
            cancellationToken.ThrowIfCancellationRequested();
            long began = Stopwatch.GetTimestamp();
            bool isPlanned = _segments.Length > _fed;
            BatchItem item = NextItem(Math.Min(isPlanned ? _ids.Length : _chunk, end - _fed), shortlist);
            Model.Backend.Forward([item]);
            Fed(item);
            if (item.Tokens.Length == _chunk)
            {
                double rate = _chunk / Math.Max(1e-6, Stopwatch.GetElapsedTime(began).TotalSeconds);
                _chunk = Math.Clamp((int)(rate * SecondsPerChunk), Model.Backend.SmallestChunk, _ids.Length);
            }

            progress?.Report(_fed - start);
        }
    }

    /// <summary>The state, to be moved on: nobody else holds it.</summary>
    private RecurrentState OwnState()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        _state = _state.Own();
        return _state.State;
    }

    private void CheckIds(ReadOnlySpan<int> ids)
    {
        int vocabSize = Model.Config.VocabSize;
        foreach (int id in ids)
        {
            if ((uint)id >= (uint)vocabSize)
            {
                throw new XlstmException($"token id {id} is not in the vocabulary: ids go from 0 to {vocabSize - 1}");
            }
        }
    }
}

/// <summary>Receives the logits of one position.</summary>
/// <param name="index">Index of the position among the ids of the call.</param>
/// <param name="logits">float32 [V], valid during the call.</param>
public delegate void LogitsReceiver(int index, ReadOnlySpan<float> logits);
