using System.Diagnostics;
using System.Runtime.CompilerServices;
using Xlstm.Backends;
using Xlstm.Generation;

namespace Xlstm;

/// <summary>
/// One timeline on a model: the tokens so far, the recurrent state after them, the logits of the last. Not thread-safe;
/// different sessions may run on different threads, and their forward passes take turns.
/// </summary>
public sealed class Session : IDisposable
{
    // A chunk is what cannot be interrupted: long enough to read the weights seldom, short enough to show progress.
    private const double SecondsPerChunk = 3;
    private const int SmallestChunk = 96;
    private const int LogitsChunk = 48;

    private readonly RecurrentState _state;
    private readonly List<int> _tokens = [];
    private readonly int[] _ids;
    private readonly float[] _logits;
    private int _fed;
    private int _chunk = SmallestChunk;

    internal Session(XlstmModel model)
    {
        Model = model;
        _state = model.Backend.CreateState();
        _ids = new int[model.Backend.MaxBatchTokens];
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
            Feed(null, CancellationToken.None);
            return _fed == 0 ? [] : _logits;
        }
    }

    /// <summary>Tokens that the state does not hold yet: what was queued, or the last token of a generation, whose logits nobody has asked for.</summary>
    internal int Waiting => _tokens.Count - _fed;

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
            Feed(progress, cancellationToken);
        }
        catch
        {
            int held = Math.Max(before, _fed);
            _tokens.RemoveRange(held, _tokens.Count - held);
            throw;
        }
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
        Feed(null, cancellationToken);
        int vocabSize = Model.Config.VocabSize;
        var logits = new float[Math.Min(ids.Length, LogitsChunk) * vocabSize];
        for (int first = 0; first < ids.Length; first += LogitsChunk)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int count = Math.Min(LogitsChunk, ids.Length - first);
            ReadOnlySpan<int> chunk = ids.Slice(first, count);
            chunk.CopyTo(_ids);
            Model.Backend.Forward([new BatchItem(_state, _ids.AsMemory(0, count), Output.AllLogits, logits)]);
            _tokens.AddRange(chunk);
            _fed += count;
            logits.AsSpan((count - 1) * vocabSize, vocabSize).CopyTo(_logits);
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
        var step = new BackgroundStep(() => Feed(null, cancellationToken));
        while (!run.IsFinished)
        {
            cancellationToken.ThrowIfCancellationRequested();
            await step.RunAsync().ConfigureAwait(false);
            yield return run.Next(_logits);
        }
    }

    /// <summary>Frees the state.</summary>
    public void Dispose() => _state.Dispose();

    /// <summary>Takes in tokens that a later forward pass will feed.</summary>
    /// <exception cref="XlstmException">An id is not in the vocabulary.</exception>
    internal void Queue(ReadOnlySpan<int> ids)
    {
        CheckIds(ids);
        _tokens.AddRange(ids);
    }

    /// <summary>The next waiting tokens as an item of a batch; <see cref="Fed"/> follows once it has run.</summary>
    /// <param name="most">Most tokens to take, at least 1.</param>
    internal BatchItem NextItem(int most)
    {
        int count = Math.Min(Waiting, most);
        System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_tokens).Slice(_fed, count).CopyTo(_ids);
        return new BatchItem(_state, _ids.AsMemory(0, count), count == Waiting ? Output.LastLogits : Output.None, _logits);
    }

    /// <summary>Notes that a batch has run with <see cref="NextItem"/>.</summary>
    internal void Fed(in BatchItem item) => _fed += item.Tokens.Length;

    /// <summary>The logits that the last batch wrote.</summary>
    internal ReadOnlySpan<float> LastLogits => _logits;

    private void Feed(IProgress<int>? progress, CancellationToken cancellationToken)
    {
        int start = _fed;
        while (Waiting > 0)
        {
            cancellationToken.ThrowIfCancellationRequested();
            long began = Stopwatch.GetTimestamp();
            BatchItem item = NextItem(_chunk);
            Model.Backend.Forward([item]);
            Fed(item);
            if (item.Tokens.Length == _chunk)
            {
                double rate = _chunk / Math.Max(1e-6, Stopwatch.GetElapsedTime(began).TotalSeconds);
                _chunk = Math.Clamp((int)(rate * SecondsPerChunk), SmallestChunk, _ids.Length);
            }

            progress?.Report(_fed - start);
        }
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
