using System.Text.Json;
using Xunit;

namespace Xlstm.Tests;

/// <summary>
/// The trained demo model against transformers in float32: greedy text, top logits, loss on held-out books. Only a trained
/// model is in the regime where multihead_norm's eps decides (h far below it in half of all heads).
/// </summary>
public sealed class DemoModelTests(DemoModelTests.LoadedDemo demo) : IClassFixture<DemoModelTests.LoadedDemo>
{
    private static readonly JsonElement Reference = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(TestData.DemoModel, "reference.json"))).RootElement;

    public static IEnumerable<TheoryDataRow<int>> Prompts => Enumerable.Range(0, Reference.GetProperty("greedy").GetArrayLength()).Select(i => new TheoryDataRow<int>(i));

    [Theory]
    [MemberData(nameof(Prompts))]
    public async Task GreedyTextAndTopLogitsAgree(int index)
    {
        JsonElement expected = Reference.GetProperty("greedy")[index];
        using Session session = demo.Model.CreateSession();
        session.Append(expected.GetProperty("prompt").GetString()!);
        Assert.Equal(Ids(expected.GetProperty("prompt_ids")), session.Tokens);
        foreach (JsonElement pair in expected.GetProperty("top5").EnumerateArray())
        {
            Assert.Equal(pair[1].GetSingle(), session.Logits[pair[0].GetInt32()], tolerance: 5e-4f);
        }

        int[] ids = Ids(expected.GetProperty("ids"));
        var options = new GenerationOptions { MaxNewTokens = ids.Length, Sampling = new SamplingOptions { Greedy = true }, IgnoreEndOfText = true };
        var made = new List<GeneratedToken>();
        await foreach (GeneratedToken token in session.GenerateAsync(options, TestContext.Current.CancellationToken))
        {
            made.Add(token);
        }

        Assert.Equal(ids, made.Select(token => token.Id));
        Assert.Equal(expected.GetProperty("text").GetString(), string.Concat(made.Select(token => token.Text)));
        Assert.Equal(FinishReason.Length, made[^1].FinishReason);
    }

    [Fact]
    public void LossOnHeldOutBooksAgrees()
    {
        string books = HeldOutBooks();
        Tokenizer tokenizer = demo.Model.Tokenizer!;
        foreach (JsonElement expected in Reference.GetProperty("holdout").EnumerateArray())
        {
            string title = expected.GetProperty("title").GetString()!;
            JsonElement book = books.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement).First(b => b.GetProperty("title").GetString() == title);
            int[] ids = [0, .. tokenizer.Encode(book.GetProperty("text").GetString()!).AsSpan(20000, 2048)];
            using Session session = demo.Model.CreateSession();
            double nll = 0;
            session.AppendWithLogits(ids.AsSpan(0, 2048), (index, logits) =>
            {
                double max = float.NegativeInfinity, sum = 0;
                foreach (float logit in logits)
                {
                    max = Math.Max(max, logit);
                }

                foreach (float logit in logits)
                {
                    sum += Math.Exp(logit - max);
                }

                nll += Math.Log(sum) + max - logits[ids[index + 1]];
            });
            Assert.Equal(expected.GetProperty("nll").GetDouble(), nll / 2048, tolerance: 1e-4);
        }
    }

    private static int[] Ids(JsonElement array) => [.. array.EnumerateArray().Select(id => id.GetInt32())];

    private static string HeldOutBooks()
    {
        string file = TestData.Shared("demo-model/holdout.jsonl.xz");
        try
        {
            using var xz = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("xz", ["-dc", file]) { RedirectStandardOutput = true })!;
            string text = xz.StandardOutput.ReadToEnd();
            xz.WaitForExit();
            return text;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip("xz is not installed");
            throw;
        }
    }

    public sealed class LoadedDemo : IDisposable
    {
        public XlstmModel Model { get; } = XlstmModel.Load(TestData.DemoModel, new LoadOptions { Weights = WeightFormat.BFloat16 });

        public void Dispose() => Model.Dispose();
    }
}
