using System.Diagnostics;
using System.Text;

namespace Xlstm.Cli.Generation;

/// <summary>What has become of a job so far: its text, its tokens, its times.</summary>
internal sealed class JobRecord
{
    private readonly StringBuilder _text = new();
    private readonly List<int> _ids = [];
    private readonly List<TokenResult>? _logProbs;
    private readonly GenerationJob _job;
    private readonly int[] _promptIds;
    private readonly Tokenizer? _tokenizer;
    private readonly long _start = Stopwatch.GetTimestamp();
    private TimeSpan? _promptDone;
    private int _promptTokensRead;
    private TimeSpan _end;
    private FinishReason? _reason;

    public JobRecord(XlstmModel model, GenerationJob job, int[] promptIds)
    {
        (_job, _promptIds, _tokenizer) = (job, promptIds, model.Tokenizer);
        var sampling = job.Options.Sampling;
        if (sampling is { Greedy: false, Temperature: > 0 })
        {
            // Drawn here and not left to the library, so that a text that pleases can be had again.
            Seed = sampling.Seed ?? (ulong)Random.Shared.NextInt64();
        }
        Options = job.Options with { Sampling = sampling with { Seed = Seed } };
        _logProbs = Options.TopLogProbabilities > 0 ? [] : null;
        _reason = Options.MaxNewTokens == 0 ? FinishReason.Length : null;
    }

    /// <summary>The job's options with the seed that is used.</summary>
    public GenerationOptions Options { get; }

    /// <summary>Null when nothing is drawn.</summary>
    public ulong? Seed { get; }

    public bool IsFinished => _reason is not null;

    /// <summary>Notes that the prompt has been read; only the first time counts.</summary>
    /// <param name="tokensRead">The prompt's, and those that a session brought with it unread; null for the prompt's alone.</param>
    public void PromptDone(int? tokensRead = null)
    {
        if (_promptDone is null)
        {
            _promptTokensRead = tokensRead ?? _promptIds.Length;
            _promptDone = _end = Stopwatch.GetElapsedTime(_start);
        }
    }

    /// <summary>Notes how much of a prompt was read when it was broken off.</summary>
    public void PromptBroken(int tokensRead)
    {
        if (_promptDone is null)
        {
            _promptTokensRead = tokensRead;
        }
    }

    public void Add(GeneratedToken token)
    {
        _text.Append(token.Text);
        _ids.Add(token.Id);
        _logProbs?.Add(TokenResult.Of(token.Id, token.LogProbability, _tokenizer, token.TopLogProbabilities));
        if (token.FinishReason != FinishReason.None)
        {
            _reason = token.FinishReason;
        }

        _end = Stopwatch.GetElapsedTime(_start);
    }

    public GenerationResult ToResult()
    {
        if (!IsFinished)
        {
            _end = Stopwatch.GetElapsedTime(_start);
        }

        return new GenerationResult
        {
            Id = _job.Id,
            Text = _text.ToString(),
            Ids = _ids,
            PromptIds = _promptIds,
            FinishReason = GenerationResult.Name(_reason),
            Seed = Seed,
            Logprobs = _logProbs,
            Timings = new Timings
            {
                PromptTokens = _promptTokensRead,
                PromptSeconds = Seconds(_promptDone ?? _end),
                GeneratedTokens = _ids.Count,
                GenerationSeconds = Seconds(_end - (_promptDone ?? _end)),
                TotalSeconds = Seconds(_end),
            },
        };
    }

    private static double Seconds(TimeSpan time) => Math.Round(time.TotalSeconds, 6);
}
