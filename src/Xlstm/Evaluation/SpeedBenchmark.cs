using System.Diagnostics;
using Xlstm.Backends;

namespace Xlstm;

/// <summary>
/// Times a model through the one seam that sessions and batches use. The tokens are random: neither the speed of the matrices
/// nor that of the state depends on them. Not thread-safe.
/// </summary>
public sealed class SpeedBenchmark : IDisposable
{
    private const double WarmUpSeconds = 0.5;
    private const int WarmUpTokens = 16;

    private readonly XlstmModel _model;
    private readonly Random _random = new(1);
    private readonly List<RecurrentState> _states = [];
    private readonly int[] _ids;
    private readonly float[] _logits;

    // The sequence that reads up to each depth; those of a test are copies of it.
    private readonly RecurrentState _lead;
    private int _depth;

    /// <param name="model">The model to time.</param>
    /// <exception cref="XlstmException">There is not the memory for a state.</exception>
    public SpeedBenchmark(XlstmModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        _lead = model.Backend.CreateState();
        _ids = new int[model.Backend.MaxBatchTokens];
        _logits = new float[model.Config.VocabSize];
    }

    /// <summary>Runs a test. Tests in order of depth read on from one to the next; a smaller depth starts anew.</summary>
    /// <param name="test">What to time.</param>
    /// <param name="repetitions">How many times, after a warm-up of half a second; at least 1. Every one starts at the test's depth.</param>
    /// <param name="cancellationToken">Honoured between forward passes.</param>
    /// <exception cref="XlstmException">A size is out of range, or there is not the memory for the states.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public SpeedResult Run(SpeedTest test, int repetitions, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(test);
        ArgumentOutOfRangeException.ThrowIfLessThan(repetitions, 1);
        test.Validate(_model.Backend.MaxBatchTokens);
        ReadTo(test.Depth, cancellationToken);
        Spread(test.Batch);
        WarmUp(test, cancellationToken);
        var seconds = new double[repetitions];
        for (int i = 0; i < repetitions; i++)
        {
            Spread(test.Batch);
            long start = Stopwatch.GetTimestamp();
            Repeat(test, cancellationToken);
            seconds[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        bool generates = test.Kind == SpeedTestKind.Generation;
        return new SpeedResult
        {
            Test = test,
            Seconds = seconds,
            WeightBytes = generates ? test.Tokens * (double)_model.Backend.StepWeightBytes : null,
            StateBytes = generates ? test.Tokens * 2.0 * test.Batch * _model.Backend.StepStateBytes : null,
            Products = (double)test.Tokens * test.Batch * BlockProducts + ((double)(generates ? test.Tokens : 1) * test.Batch * LmHeadProducts),
        };
    }

    /// <summary>Frees the states; the model stays.</summary>
    public void Dispose()
    {
        _lead.Dispose();
        _states.ForEach(state => state.Dispose());
    }

    private long BlockProducts
    {
        get
        {
            XlstmConfig c = _model.Config;
            return c.NumBlocks * c.EmbeddingDim * ((2L * c.QkDim) + (3L * c.VDim) + (2L * c.NumHeads) + (3L * c.FfnDim));
        }
    }

    private long LmHeadProducts => (long)_model.Config.VocabSize * _model.Config.EmbeddingDim;

    private void ReadTo(int depth, CancellationToken cancellationToken)
    {
        if (depth < _depth)
        {
            _lead.Reset();
            _depth = 0;
        }

        while (_depth < depth)
        {
            int count = Math.Min(_ids.Length, depth - _depth);
            Forward([_lead], count, Output.None, cancellationToken);
            _depth += count;
        }
    }

    /// <summary>Gives every sequence of a test the state at its depth.</summary>
    private void Spread(int batch)
    {
        while (_states.Count < batch)
        {
            _states.Add(_model.Backend.CreateState());
        }

        foreach (RecurrentState state in _states.Take(batch))
        {
            state.CopyFrom(_lead);
        }
    }

    /// <summary>On the CPU small passes first, so that a model that takes seconds for a whole one need not run it for nothing.</summary>
    private void WarmUp(SpeedTest test, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        if (_model.OnGpu)
        {
            // Whatever a shape of batch needs is compiled and recorded when it is first run, and that can take longer than a warm-up.
            Repeat(test, cancellationToken);
            start = Stopwatch.GetTimestamp();
        }
        else
        {
            Pass(test, Math.Min(test.Tokens, Math.Max(1, WarmUpTokens / test.Batch)), Output.LastLogits, cancellationToken);
        }

        while (Stopwatch.GetElapsedTime(start).TotalSeconds < WarmUpSeconds)
        {
            Repeat(test, cancellationToken);
        }
    }

    private void Repeat(SpeedTest test, CancellationToken cancellationToken)
    {
        int chunk = test.Kind == SpeedTestKind.Generation ? 1 : _ids.Length / test.Batch;
        for (int done = 0; done < test.Tokens; done += chunk)
        {
            bool wanted = test.Kind == SpeedTestKind.Generation || done + chunk >= test.Tokens;
            Pass(test, Math.Min(chunk, test.Tokens - done), wanted ? Output.LastLogits : Output.None, cancellationToken);
        }
    }

    private void Pass(SpeedTest test, int tokens, Output output, CancellationToken cancellationToken) =>
        Forward(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_states)[..test.Batch], tokens, output, cancellationToken);

    private void Forward(ReadOnlySpan<RecurrentState> states, int tokens, Output output, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var items = new BatchItem[states.Length];
        for (int i = 0; i < items.Length; i++)
        {
            Memory<int> ids = _ids.AsMemory(i * tokens, tokens);
            foreach (ref int id in ids.Span)
            {
                id = _random.Next(_model.Config.VocabSize);
            }

            // All sequences write their logits to one place: nobody reads them.
            items[i] = new BatchItem(states[i], ids, output, _logits);
        }

        _model.Backend.Forward(items);
    }
}
