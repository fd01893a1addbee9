using Xlstm.Backends;

namespace Xlstm.Generation;

/// <summary>One generation under way on a session: from logits to the next token and its text, until something ends it.</summary>
internal sealed class GenerationRun
{
    private readonly Session _session;
    private readonly GenerationOptions _options;
    private readonly Sampler _sampler;
    private readonly Detokenizer? _detokenizer;
    private readonly StopStringFilter? _stops;
    private readonly int[] _queue = new int[1];
    private int _made;

    /// <param name="session">Where to go on; an empty one gets begin-of-text queued.</param>
    /// <param name="options">What to make.</param>
    /// <exception cref="XlstmException">An option is out of its range.</exception>
    public GenerationRun(Session session, GenerationOptions options)
    {
        options.Validate();
        (_session, _options) = (session, options);
        XlstmModel model = session.Model;
        Tokenizer? tokenizer = model.Tokenizer;
        if (options.StopStrings.Count > 0)
        {
            _stops = tokenizer is null ? throw new XlstmException($"{model.Folder}: has no tokenizer.json, so stop strings cannot be found") : new StopStringFilter(options.StopStrings);
        }

        TokenMask forbidden = model.ForbiddenTokens(endOfText: options.IgnoreEndOfText);
        _sampler = new Sampler(options.Sampling, model.Config.VocabSize, forbidden.Contains);
        if (options.TopLogProbabilities == 0 && _sampler.Decisive > 0 && _sampler.Decisive <= model.Backend.MaxShortlist)
        {
            Shortlist = new Shortlist(_sampler.Decisive, forbidden);
        }

        _detokenizer = tokenizer?.CreateDetokenizer();
        if (session.Tokens.Count == 0)
        {
            Queue(model.BeginOfText);
        }

        for (int i = 0; i < session.Tokens.Count; i++)
        {
            _sampler.Accept(session.Tokens[i], generated: false);
        }

        IsFinished = options.MaxNewTokens == 0;
    }

    /// <summary>What it looks at of the next logits; null if that may be any of them.</summary>
    public Shortlist? Shortlist { get; }

    /// <summary>Whether the last token has been made.</summary>
    public bool IsFinished { get; private set; }

    /// <summary>Chooses the token after the session's last, which has been fed, and queues it on the session, unless it ends the text.</summary>
    public GeneratedToken Next()
    {
        int id = Choose();
        _made++;
        (float own, TokenLogProbability[]? top) = (float.NaN, null);
        if (_options.TopLogProbabilities > 0)
        {
            (own, top) = LogProbabilities.Of(_session.LastLogits, id, _options.TopLogProbabilities);
        }

        string text = "";
        FinishReason reason = FinishReason.None;
        if (id == _session.Model.EndOfText)
        {
            reason = FinishReason.EndOfText;
        }
        else
        {
            _sampler.Accept(id, generated: true);
            Queue(id);
            text = Filter(_detokenizer?.Append(id) ?? "", ref reason);
            if (reason == FinishReason.None && _made >= _options.MaxNewTokens)
            {
                reason = FinishReason.Length;
            }
        }

        if (reason is FinishReason.EndOfText or FinishReason.Length)
        {
            text = Join(text, Filter(_detokenizer?.Flush() ?? "", ref reason));
            if (reason != FinishReason.StopString)
            {
                text = Join(text, _stops?.Flush() ?? "");
            }
        }

        IsFinished = reason != FinishReason.None;
        return new GeneratedToken { Id = id, Text = text, FinishReason = reason, LogProbability = own, TopLogProbabilities = top };
    }

    private int Choose()
    {
        if (Shortlist is not { Count: > 0 } best)
        {
            return _sampler.Sample(_session.LastLogits);
        }

        int id = _sampler.Sample(best);
        best.Clear();
        return id;
    }

    private void Queue(int id)
    {
        _queue[0] = id;
        _session.Queue(_queue);
    }

    private string Filter(string text, ref FinishReason reason)
    {
        if (_stops is null)
        {
            return text;
        }

        string certain = _stops.Append(text, out bool stopped);
        if (stopped)
        {
            reason = FinishReason.StopString;
        }

        return certain;
    }

    private static string Join(string first, string second) => second.Length == 0 ? first : first + second;
}
