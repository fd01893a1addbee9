using System.Numerics;
using Xlstm.Backends;
using Xlstm.Evaluation;
using Xlstm.Generation;

namespace Xlstm;

/// <summary>
/// Measures how well a model predicts texts and, with a reference model, how far its distributions are from that model's. Both
/// advance together chunk by chunk, so memory does not grow with the text. Texts add up; not thread-safe.
/// </summary>
public sealed class TextEvaluator : IDisposable
{
    // Large enough that a chunk's matrix products read the weights seldom, small beside any model whose vocabulary fills it.
    private const long LogitBytes = 32L << 20;

    private const int FirstBucket = 128;

    private readonly XlstmModel _model;
    private readonly EvaluationOptions _options;
    private readonly Stream _evaluated;
    private readonly Stream? _reference;
    private readonly int _chunk;
    private readonly int[] _ids;
    private readonly Prediction[] _predictions;
    private readonly List<ScoreAccumulator> _buckets = [];
    private readonly ScoreAccumulator _total;

    /// <param name="model">The model to evaluate.</param>
    /// <param name="reference">The model to compare it with, usually the same one in a more exact weight format; null for none.</param>
    /// <param name="options">How texts are cut; null for the defaults.</param>
    /// <exception cref="XlstmException">An option is out of range, the models have different vocabularies, or there is not the memory for their states.</exception>
    public TextEvaluator(XlstmModel model, XlstmModel? reference = null, EvaluationOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        (_model, _options) = (model, options ?? new EvaluationOptions());
        _options.Validate();
        int vocabSize = model.Config.VocabSize;
        if (reference is not null && reference.Config.VocabSize != vocabSize)
        {
            throw new XlstmException($"{reference.Folder}: has a vocabulary of {reference.Config.VocabSize}, but {model.Folder} one of {vocabSize}: their distributions cannot be compared");
        }

        int most = Math.Min(_options.PassTokens ?? int.MaxValue, Math.Min(model.Backend.MaxBatchTokens, reference?.Backend.MaxBatchTokens ?? int.MaxValue));
        _chunk = (int)Math.Clamp(LogitBytes / (sizeof(float) * (long)vocabSize), 1, most);
        _ids = new int[_chunk];
        _predictions = new Prediction[_chunk];
        _total = new ScoreAccumulator(reference is not null);
        _evaluated = new Stream(model, _chunk);
        _reference = reference is null ? null : new Stream(reference, _chunk);
    }

    /// <summary>The score of all texts together; null before the first.</summary>
    public PredictionScore? Total => _total.Tokens > 0 ? _total.ToScore() : null;

    /// <summary>The score by position in the stream (or window), in ranges that double: 0 to 127, 128 to 255, 256 to 511, ...</summary>
    public IReadOnlyList<PositionScore> Positions =>
        [.. _buckets.Select((bucket, i) => (Bucket: bucket, First: i == 0 ? 0 : (long)FirstBucket << (i - 1), End: (long)FirstBucket << i))
            .Where(range => range.Bucket.Tokens > 0)
            .Select(range => new PositionScore(range.First, range.End - 1, range.Bucket.ToScore()))];

    /// <summary>Scores a text: every token given those before it, the first given begin-of-text, which this puts before the text itself.</summary>
    /// <param name="ids">The text's tokens, at least one, each in [0, V).</param>
    /// <param name="progress">Told the number of tokens scored so far.</param>
    /// <param name="cancellationToken">Honoured between chunks.</param>
    /// <returns>The score of this text alone.</returns>
    /// <exception cref="XlstmException">There is no token, or one is not in the vocabulary.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public PredictionScore Add(ReadOnlySpan<int> ids, IProgress<long>? progress = null, CancellationToken cancellationToken = default)
    {
        if (ids.IsEmpty)
        {
            throw new XlstmException("there are no tokens to score");
        }

        int wrong = ids.IndexOfAnyExceptInRange(0, _model.Config.VocabSize - 1);
        if (wrong >= 0)
        {
            throw new XlstmException($"token id {ids[wrong]} is not in the vocabulary: ids go from 0 to {_model.Config.VocabSize - 1}");
        }

        var text = new ScoreAccumulator(_reference is not null);
        int context = Math.Min(_options.Context ?? ids.Length, ids.Length);
        int stride = Math.Min(_options.Stride ?? context, context);
        for (int end = context; ; end = Math.Min(end + stride, ids.Length))
        {
            // The last window reaches back for a whole context; what was scored before is context there.
            int start = Math.Max(0, end - context);
            Window(ids[start..end], (int)text.Tokens - start, text, progress, cancellationToken);
            if (end == ids.Length)
            {
                return text.ToScore();
            }
        }
    }

    /// <summary>Frees the states; the models stay.</summary>
    public void Dispose()
    {
        _evaluated.Dispose();
        _reference?.Dispose();
    }

    /// <summary>Feeds a window from begin-of-text and scores its tokens from <paramref name="firstScored"/> on.</summary>
    private void Window(ReadOnlySpan<int> window, int firstScored, ScoreAccumulator text, IProgress<long>? progress, CancellationToken cancellationToken)
    {
        _evaluated.Reset();
        _reference?.Reset();
        for (int first = 0; first < window.Length;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            bool scored = first >= firstScored;
            int count = Math.Min(_chunk, (scored ? window.Length : firstScored) - first);
            ReadOnlySpan<int> targets = window.Slice(first, count);

            // The input is the window moved by one: begin-of-text first, and the last token is only a target.
            _ids[0] = first == 0 ? _model.BeginOfText : window[first - 1];
            targets[..^1].CopyTo(_ids.AsSpan(1));
            _evaluated.Feed(_ids.AsMemory(0, count), scored);
            _reference?.Feed(_ids.AsMemory(0, count), scored);
            if (scored)
            {
                Score(targets, first, text);
                progress?.Report(text.Tokens);
            }

            first += count;
        }
    }

    private void Score(ReadOnlySpan<int> targets, int firstPosition, ScoreAccumulator text)
    {
        int[] ids = targets.ToArray();
        Parallel.For(0, ids.Length, new ParallelOptions { MaxDegreeOfParallelism = _model.Threads }, row => _predictions[row] = Predict(row, ids[row]));
        for (int row = 0; row < ids.Length; row++)
        {
            _total.Add(_predictions[row]);
            text.Add(_predictions[row]);
            Bucket(firstPosition + row).Add(_predictions[row]);
        }
    }

    private Prediction Predict(int row, int target)
    {
        int bytes = _model.Tokenizer?.GetBytes(target).Length ?? 0;
        ReadOnlySpan<float> logits = _evaluated.Logits(row);
        double logSum = LogProbabilities.LogSumExp(logits);
        double nats = logSum - logits[target];
        if (_reference is null)
        {
            return new Prediction(nats, bytes, 0, 0, false);
        }

        ReadOnlySpan<float> reference = _reference.Logits(row);
        double referenceLogSum = LogProbabilities.LogSumExp(reference);
        return new Prediction(
            nats,
            bytes,
            referenceLogSum - reference[target],
            Distributions.Divergence(reference, referenceLogSum, logits, logSum),
            Distributions.Top(reference) == Distributions.Top(logits));
    }

    private ScoreAccumulator Bucket(int position)
    {
        int bucket = position < FirstBucket ? 0 : BitOperations.Log2((uint)(position / FirstBucket)) + 1;
        while (_buckets.Count <= bucket)
        {
            _buckets.Add(new ScoreAccumulator(_reference is not null));
        }

        return _buckets[bucket];
    }

    /// <summary>One model's state and the logits of the chunk under way, float32 [chunk, V].</summary>
    private sealed class Stream(XlstmModel model, int chunk) : IDisposable
    {
        private readonly RecurrentState _state = model.Backend.CreateState();
        private readonly float[] _logits = new float[(long)chunk * model.Config.VocabSize];

        public ReadOnlySpan<float> Logits(int row) => _logits.AsSpan(row * model.Config.VocabSize, model.Config.VocabSize);

        public void Reset() => _state.Reset();

        public void Feed(ReadOnlyMemory<int> ids, bool wantLogits) =>
            model.Backend.Forward([new BatchItem(_state, ids, wantLogits ? Output.AllLogits : Output.None, _logits)]);

        public void Dispose() => _state.Dispose();
    }
}
