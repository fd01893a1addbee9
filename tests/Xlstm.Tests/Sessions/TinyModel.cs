using Xunit;

namespace Xlstm.Tests.Sessions;

/// <summary>A tiny checkpoint, loaded once for a class of tests, and the naive way to its logits: from the start, every time.</summary>
public class TinyModel : IDisposable
{
    public const string Name = "tiny-single";

    private readonly Dictionary<string, float[]> _logits = [];

    public static GenerationOptions Greedy(int count) => new() { MaxNewTokens = count, Sampling = new SamplingOptions { Greedy = true }, IgnoreEndOfText = true };

    public TinyModel()
        : this(Load())
    {
    }

    protected TinyModel(XlstmModel model) => Model = model;

    public XlstmModel Model { get; }

    public static XlstmModel Load(string name = Name, WeightFormat weights = WeightFormat.Float32) =>
        XlstmModel.Load(TestData.Reference(name), new LoadOptions { Weights = weights, Threads = 1 });

    /// <summary>Logits after tokens, by a session that does nothing else.</summary>
    public float[] NaiveLogits(IReadOnlyList<int> tokens)
    {
        string key = string.Join(',', tokens);
        if (!_logits.TryGetValue(key, out float[]? logits))
        {
            using Session session = Model.CreateSession();
            session.Append([.. tokens]);
            logits = [.. session.Logits];
            _logits.Add(key, logits);
        }

        return logits;
    }

    /// <summary>The most probable continuation, by recomputing from the start for every token.</summary>
    public int[] NaiveGreedy(IReadOnlyList<int> tokens, int count)
    {
        List<int> all = tokens.Count == 0 ? [Model.BeginOfText] : [.. tokens];
        for (int i = 0; i < count; i++)
        {
            float[] logits = [.. NaiveLogits(all)];
            logits[Model.EndOfText] = float.NegativeInfinity;
            all.Add(Array.IndexOf(logits, logits.Max()));
        }

        return [.. all.Skip(tokens.Count == 0 ? 1 : tokens.Count)];
    }

    public void AssertIsAt(IReadOnlyList<int> tokens, Session session)
    {
        Assert.Equal(tokens, session.Tokens);
        if (tokens.Count > 0)
        {
            Assert.Equal(NaiveLogits(tokens), session.Logits.ToArray());
        }
    }

    public void Dispose()
    {
        Model.Dispose();
        GC.SuppressFinalize(this);
    }
}

/// <summary>The same on a device whose logits stay there.</summary>
public sealed class TinyModelOfShortlists() : TinyModel(ShortlistBackend.Load(TestData.Reference(Name)).Model);

internal static class SessionExtensions
{
    public static async Task<int[]> GreedyAsync(this Session session, int count)
    {
        var ids = new List<int>();
        await foreach (GeneratedToken token in session.GenerateAsync(TinyModel.Greedy(count), TestContext.Current.CancellationToken))
        {
            ids.Add(token.Id);
        }

        return [.. ids];
    }
}
