using System.Text.Json;
using Xunit;

namespace Xlstm.Cli.Tests;

/// <summary>Risk: perplexity and bench measure something else than the command line says, or print it under the wrong name.</summary>
public class MeasureCommandTests
{
    private const string Story = "It was a dark and stormy night, and the old house stood alone upon the moor. The rain had not stopped for three days.\n";

    [Fact]
    public async Task PerplexityOfSeveralTextsAgainstAnotherFormat()
    {
        using var folder = new TemporaryFolder();
        string first = folder.Write("first.txt", string.Concat(Enumerable.Repeat(Story, 8))), second = folder.Write("second.txt", Story);
        var result = await ToolProcess.RunAsync("perplexity", "--file", first, "--file", second, "--skip-tokens", "3", "--max-tokens", "150", "--weights", "int4", "--against-weights", "float32", "--json");
        Assert.Equal(0, result.ExitCode);
        using var json = JsonDocument.Parse(result.Output);
        var root = json.RootElement;
        Assert.Equal("int4", root.GetProperty("weights").GetString());
        Assert.Equal("float32", root.GetProperty("against").GetProperty("weights").GetString());
        var files = root.GetProperty("files");
        Assert.Equal(2, files.GetArrayLength());
        Assert.Equal(first, files[0].GetProperty("file").GetString());
        Assert.Equal(150, files[0].GetProperty("tokens").GetInt32());
        int tokens = 150 + files[1].GetProperty("tokens").GetInt32();
        Assert.InRange(tokens, 160, 200);
        Assert.Equal(tokens, root.GetProperty("tokens").GetInt32());
        Assert.Equal([(0, 127), (128, 255)], root.GetProperty("positions").EnumerateArray().Select(p => (p.GetProperty("first").GetInt32(), p.GetProperty("last").GetInt32())));
        double perplexity = Number(root, "perplexity");
        Assert.Equal(Math.Exp(Number(root, "nats_per_token")), perplexity, 1e-6);
        Assert.Equal(Number(root, "nats_per_token") * tokens / root.GetProperty("bytes").GetInt32() / Math.Log(2), Number(root, "bits_per_byte"), 1e-9);
        Assert.Equal(perplexity / Number(root, "reference_perplexity"), Number(root, "perplexity_ratio"), 1e-6);
        Assert.InRange(Number(root, "kl_mean"), 1e-4, Number(root, "kl_99"));
        Assert.InRange(Number(root, "kl_99"), 1e-3, Number(root, "kl_max"));
        Assert.InRange(Number(root, "top1_agreement"), 0.5, 1);
        Assert.True(Number(root, "seconds") > 0 && Number(root, "tokens_per_second") > 0);
    }

    /// <summary>Against another device everything but the device is the same: here that is the same device, and nothing differs.</summary>
    [Fact]
    public async Task PerplexityAgainstADeviceKeepsTheWeights()
    {
        var result = await ToolProcess.RunAsync(ToolStart.WithInput(Story), "perplexity", "--file", "-", "--weights", "int8", "--device", "cpu", "--against-device", "cpu", "--json");
        Assert.Equal(0, result.ExitCode);
        using var json = JsonDocument.Parse(result.Output);
        var root = json.RootElement;
        Assert.Distinct(root.EnumerateObject().Select(property => property.Name));
        Assert.Equal("int8", root.GetProperty("against").GetProperty("weights").GetString());
        Assert.StartsWith("CPU, ", root.GetProperty("against").GetProperty("device").GetString(), StringComparison.Ordinal);
        Assert.Equal(0, Number(root, "kl_max"), 1e-9);
        Assert.Equal(1, Number(root, "top1_agreement"));
    }

    [Fact]
    public async Task PerplexityForPeopleIsATableOnStdout()
    {
        var result = await ToolProcess.RunAsync(ToolStart.WithInput(Story), "perplexity", "--file", "-", "--context", "10", "--stride", "5");
        Assert.Equal(0, result.ExitCode);
        foreach (string fact in (string[])["bfloat16 weights", "Perplexity", "bits a byte", "positions", "0-127", "stdin"])
        {
            Assert.Contains(fact, result.Output, StringComparison.Ordinal);
        }

        Assert.DoesNotContain("KL", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task BenchMeasuresWhatItIsAskedFor()
    {
        using var folder = new TemporaryFolder();
        string config = folder.Write("config.json", """{ "hidden_size": 64, "num_hidden_layers": 2, "num_heads": 2, "vocab_size": 96, "gate_soft_cap": 15.0, "output_logit_soft_cap": 30.0 }""");
        string[] arguments = ["bench", "--like", config, "--device", "cpu", "--weights", "int8,float32", "--threads", "1,2", "-p", "8", "-g", "2", "-d", "5,0", "-b", "3", "-n", "2", "--buffer", "64"];
        var result = await ToolProcess.RunAsync([.. arguments, "--output", "json"]);
        Assert.Equal(0, result.ExitCode);
        using var json = JsonDocument.Parse(result.Output);
        var root = json.RootElement;
        Assert.Equal($"xlstm {string.Join(' ', arguments)} --output json", root.GetProperty("command").GetString());
        Assert.Equal([("int8", 1), ("int8", 2), ("float32", 1), ("float32", 2)], root.GetProperty("runs").EnumerateArray().Select(run => (run.GetProperty("weights").GetString()!, run.GetProperty("threads").GetInt32())));
        Assert.False(root.TryGetProperty("gpus", out _));
        var run = root.GetProperty("runs")[1];
        Assert.True(Number(run, "dram_bytes_per_second") > 0 && Number(run, "resident_bytes") > 0 && Number(run, "dram_buffer_bytes") == 64 << 20);
        var tests = run.GetProperty("tests").EnumerateArray().ToList();
        Assert.Equal(
            [("pp8", 0, 1), ("tg2", 0, 3), ("pp8", 5, 1), ("tg2", 5, 3)],
            tests.Select(test => (test.GetProperty("test").GetString()!, test.GetProperty("depth").GetInt32(), test.GetProperty("batch").GetInt32())));
        Assert.All(tests, test => Assert.Equal(2, test.GetProperty("seconds").GetArrayLength()));
        Assert.Equal(JsonValueKind.Null, tests[0].GetProperty("dram_share").ValueKind);
        Assert.True(Number(tests[1], "dram_share") > 0);
    }

    [Theory]
    [InlineData("md", "| weights | threads | test |")]
    [InlineData("csv", "weights,threads,device")]
    public async Task BenchWritesTables(string form, string head)
    {
        var result = await ToolProcess.RunAsync("bench", "-p", "0", "-g", "2", "-n", "1", "--buffer", "64", "-o", form);
        Assert.Equal(0, result.ExitCode);
        Assert.Contains(head, result.Output, StringComparison.Ordinal);
        Assert.Contains("tg2", result.Output, StringComparison.Ordinal);
        Assert.Contains("models/demo", result.Output, StringComparison.Ordinal);
    }

    private static double Number(JsonElement element, string name) => element.GetProperty(name).GetDouble();
}
