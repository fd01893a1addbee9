using Xlstm.Generation;
using Xunit;

namespace Xlstm.Tests.Evaluation;

/// <summary>Risk: tokens scored twice, not at all, or against the wrong logits, which moves a perplexity by a believable amount.</summary>
public sealed class TextEvaluatorTests(TextEvaluatorTests.Models models) : IClassFixture<TextEvaluatorTests.Models>
{
    private const string Story = "It was a dark and stormy night, and the old house stood alone upon the moor. ";

    private readonly int[] _ids = models.Exact.Tokenizer!.Encode(string.Concat(Enumerable.Repeat(Story, 40)));

    [Fact]
    public void AStreamIsScoredAsASessionPredictsIt()
    {
        using var evaluator = new TextEvaluator(models.Exact);
        PredictionScore score = evaluator.Add(_ids, cancellationToken: TestContext.Current.CancellationToken);
        double[] nats = Nats(models.Exact, _ids);
        Assert.Equal(_ids.Length, score.Tokens);
        Assert.Equal(Story.Length * 40, score.Bytes);
        Assert.Equal(nats.Average(), score.NatsPerToken, 1e-9);
        Assert.Equal(Math.Exp(nats.Average()), score.Perplexity, 1e-6);
        Assert.Equal(nats.Sum() / Math.Log(2) / (Story.Length * 40), score.BitsPerByte, 1e-9);
        double variance = nats.Sum(n => Math.Pow(n - nats.Average(), 2)) / (nats.Length - 1);
        Assert.Equal(Math.Sqrt(variance / nats.Length), score.NatsStandardError, 1e-9);
        Assert.Null(score.Divergence);
    }

    [Theory]
    [InlineData(100, null)]
    [InlineData(100, 30)]
    [InlineData(64, 21)]
    [InlineData(100000, null)]
    public void AWindowScoresWhatTheOneBeforeItDidNot(int context, int? stride)
    {
        int[] ids = _ids[..230];
        using var evaluator = new TextEvaluator(models.Exact, options: new EvaluationOptions { Context = context, Stride = stride });
        PredictionScore score = evaluator.Add(ids, cancellationToken: TestContext.Current.CancellationToken);
        context = Math.Min(context, ids.Length);

        // Every token is predicted from the window that reaches it first.
        double expected = Nats(models.Exact, ids[..context]).Sum();
        for (int end = context, scored = context; scored < ids.Length; scored = end)
        {
            end = Math.Min(end + (stride ?? context), ids.Length);
            expected += Nats(models.Exact, ids[(end - context)..end])[^(end - scored)..].Sum();
        }

        Assert.Equal(ids.Length, score.Tokens);
        Assert.Equal(expected / ids.Length, score.NatsPerToken, 1e-9);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    public void FewTokensAPassScoreTheSame(int passTokens)
    {
        using TextEvaluator few = new(models.Exact, options: new EvaluationOptions { PassTokens = passTokens, Context = 30, Stride = 11 }), many = new(models.Exact, options: new EvaluationOptions { Context = 30, Stride = 11 });
        Assert.Equal(
            many.Add(_ids.AsSpan(0, 50), cancellationToken: TestContext.Current.CancellationToken),
            few.Add(_ids.AsSpan(0, 50), cancellationToken: TestContext.Current.CancellationToken));
    }

    [Fact]
    public void PositionsDoubleAndHoldEveryTokenOnce()
    {
        using var evaluator = new TextEvaluator(models.Exact);
        evaluator.Add(_ids.AsSpan(0, 600), cancellationToken: TestContext.Current.CancellationToken);
        evaluator.Add(_ids.AsSpan(100, 200), cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(
            [(0L, 127L, 256L), (128, 255, 200), (256, 511, 256), (512, 1023, 88)],
            evaluator.Positions.Select(position => (position.First, position.Last, position.Score.Tokens)));
        Assert.Equal(800, evaluator.Total!.Tokens);
        Assert.Equal(Nats(models.Exact, _ids[..600])[256..512].Average(), evaluator.Positions[2].Score.NatsPerToken, 1e-9);
    }

    [Fact]
    public void TheSameWeightsDoNotDiverge()
    {
        using var evaluator = new TextEvaluator(models.Exact, models.Exact);
        DivergenceScore divergence = evaluator.Add(_ids.AsSpan(0, 50), cancellationToken: TestContext.Current.CancellationToken).Divergence!;
        Assert.Equal((0, 0, 1, 1), (divergence.MeanDivergence, divergence.MaxDivergence, divergence.TopAgreement, divergence.PerplexityRatio));
    }

    [Fact]
    public void OtherWeightsAreComparedTokenByToken()
    {
        int[] ids = _ids[..400];
        using var evaluator = new TextEvaluator(models.Small, models.Exact);
        PredictionScore score = evaluator.Add(ids, cancellationToken: TestContext.Current.CancellationToken);
        DivergenceScore divergence = score.Divergence!;
        double[] exact = Nats(models.Exact, ids), small = Nats(models.Small, ids);
        Assert.Equal(exact.Average(), divergence.ReferenceNatsPerToken, 1e-9);
        Assert.Equal(small.Average(), score.NatsPerToken, 1e-9);
        Assert.Equal(small.Average() - exact.Average(), divergence.LogRatio, 1e-9);
        Assert.Equal(score.Perplexity / divergence.ReferencePerplexity, divergence.PerplexityRatio, 1e-9);

        double[] divergences = Divergences(ids);
        Assert.Equal(divergences.Average(), divergence.MeanDivergence, 1e-7);
        Assert.Equal(divergences.Max(), divergence.MaxDivergence, 1e-6);
        Assert.Equal(divergences.Order().ElementAt(395), divergence.Divergence99, 1e-6); // 396 of 400 do not exceed it
        Assert.InRange(divergence.TopAgreement, 0.7, 0.9999);
        Assert.InRange(divergence.LogRatioStandardError, 1e-6, score.NatsStandardError);
    }

    [Fact]
    public void WhatCannotBeScoredIsRefused()
    {
        using var evaluator = new TextEvaluator(models.Exact);
        Assert.Throws<XlstmException>(() => evaluator.Add([]));
        Assert.Contains("4096", Assert.Throws<XlstmException>(() => evaluator.Add([1, 4096])).Message, StringComparison.Ordinal);
        Assert.Null(evaluator.Total);
        Assert.Throws<XlstmException>(() => new TextEvaluator(models.Exact, options: new EvaluationOptions { Stride = 5 }));
        Assert.Throws<XlstmException>(() => new TextEvaluator(models.Exact, options: new EvaluationOptions { Context = 4, Stride = 5 }));
        Assert.Throws<XlstmException>(() => new TextEvaluator(models.Exact, options: new EvaluationOptions { PassTokens = 0 }));
        using XlstmModel other = XlstmModel.Load(TestData.Reference("tiny-single"));
        Assert.Contains("vocabulary", Assert.Throws<XlstmException>(() => new TextEvaluator(models.Exact, other)).Message, StringComparison.Ordinal);
    }

    private static double[] Nats(XlstmModel model, int[] ids)
    {
        var nats = new double[ids.Length];
        using Session session = model.CreateSession();
        session.AppendWithLogits([model.BeginOfText, .. ids[..^1]], (index, logits) => nats[index] = LogProbabilities.LogSumExp(logits) - logits[ids[index]]);
        return nats;
    }

    private double[] Divergences(int[] ids)
    {
        int[] input = [0, .. ids[..^1]];
        var reference = new float[ids.Length][];
        var divergences = new double[ids.Length];
        using Session exact = models.Exact.CreateSession(), small = models.Small.CreateSession();
        exact.AppendWithLogits(input, (index, logits) => reference[index] = logits.ToArray());
        small.AppendWithLogits(input, (index, logits) =>
        {
            (double sumP, double sumQ) = (LogProbabilities.LogSumExp(reference[index]), LogProbabilities.LogSumExp(logits));
            for (int i = 0; i < logits.Length; i++)
            {
                divergences[index] += Math.Exp(reference[index][i] - sumP) * (reference[index][i] - sumP - (logits[i] - sumQ));
            }
        });
        return divergences;
    }

    public sealed class Models : IDisposable
    {
        public XlstmModel Exact { get; } = XlstmModel.Load(TestData.DemoModel, new LoadOptions { Weights = WeightFormat.BFloat16 });

        public XlstmModel Small { get; } = XlstmModel.Load(TestData.DemoModel, new LoadOptions { Weights = WeightFormat.Int4 });

        public void Dispose()
        {
            Exact.Dispose();
            Small.Dispose();
        }
    }
}
