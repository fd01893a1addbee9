using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Xunit;

namespace Xlstm.Cli.Tests;

/// <summary>Risk: the tool's text, its JSON or its streams differ from what it promises to a person or a program.</summary>
public partial class GenerateTests
{
    private const string Prompt = "Once upon a time there was a little";

    [GeneratedRegex(@"^Generation time: \d+\.\d\d seconds \((\d+) prompt tokens at [\d.]+ tok/s, (\d+) generated at [\d.]+ tok/s\)$")]
    private static partial Regex TimingLine();

    [GeneratedRegex(@"^Loading checkpoint shards: 100%\|█+\| 6/6 \[00:\d\d<00:00, +[\d.]+it/s\]$")]
    private static partial Regex ShardsLine();

    public static TheoryData<int> References => [.. Enumerable.Range(0, 6)];

    [Theory]
    [MemberData(nameof(References))]
    public async Task GreedyTextIsThatOfTransformers(int index)
    {
        using var reference = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Repository.Demo, "reference.json")));
        var golden = reference.RootElement.GetProperty("greedy")[index];
        var result = await ToolProcess.RunAsync("generate", golden.GetProperty("prompt").GetString()!, "--greedy", "-n", "64", "--ignore-eos", "--weights", "float32", "--json");
        Assert.Equal(0, result.ExitCode);
        using var json = JsonDocument.Parse(result.Output);
        Assert.Equal(Ids(golden.GetProperty("prompt_ids")), Ids(json.RootElement.GetProperty("prompt_ids")));
        Assert.Equal(Ids(golden.GetProperty("ids")), Ids(json.RootElement.GetProperty("ids")));
        Assert.Equal(golden.GetProperty("text").GetString(), json.RootElement.GetProperty("text").GetString());
    }

    [Fact]
    public async Task TextAloneGoesToStdoutAndTheRestToStderr()
    {
        var result = await ToolProcess.RunAsync("generate", Prompt, "--greedy", "-n", "12");
        Assert.Equal(0, result.ExitCode);
        Assert.Equal(" boy, who had been in the house one day, and", result.Output);
        Assert.Equal(2, result.ErrorLines.Length);
        Assert.Matches(ShardsLine(), result.ErrorLines[0]);
        Assert.Equal(["10", "12"], TimingLine().Match(result.ErrorLines[1]).Groups.Values.Skip(1).Select(g => g.Value));
    }

    [Fact]
    public async Task JsonIsOneObjectInSnakeCase()
    {
        var result = await ToolProcess.RunAsync("generate", Prompt, "--greedy", "-n", "3", "--logprobs", "2", "--json");
        using var json = JsonDocument.Parse(Assert.Single(result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)));
        var root = json.RootElement;
        Assert.Equal(" boy, who", root.GetProperty("text").GetString());
        Assert.Equal([983, 13, 448], Ids(root.GetProperty("ids")));
        Assert.Equal([0, 48, 1304, 608, 260, 585, 469, 307, 260, 550], Ids(root.GetProperty("prompt_ids")));
        Assert.Equal("length", root.GetProperty("finish_reason").GetString());
        var timings = root.GetProperty("timings");
        Assert.Equal((10, 3), (timings.GetProperty("prompt_tokens").GetInt32(), timings.GetProperty("generated_tokens").GetInt32()));
        foreach (string name in (string[])["load_seconds", "prompt_seconds", "prompt_tokens_per_second", "generation_seconds", "generated_tokens_per_second", "total_seconds"])
        {
            Assert.True(timings.GetProperty(name).GetDouble() > 0, name);
        }

        var first = root.GetProperty("logprobs")[0];
        Assert.Equal((983, " boy"), (first.GetProperty("id").GetInt32(), first.GetProperty("token").GetString()));
        Assert.Equal(2, first.GetProperty("top").GetArrayLength());
        Assert.Equal(first.GetProperty("logprob").GetSingle(), first.GetProperty("top")[0].GetProperty("logprob").GetSingle());
        Assert.InRange(first.GetProperty("logprob").GetSingle(), -5, 0);
    }

    [Fact]
    public async Task EverySourceOfAPromptGivesTheSameText()
    {
        using var folder = new TemporaryFolder();
        string[] options = ["--greedy", "-n", "8"];
        var argument = await ToolProcess.RunAsync(["generate", Prompt, .. options]);
        // echo and editors end a text with a line end, which is no part of the prompt.
        var stdin = await ToolProcess.RunAsync(ToolStart.WithInput(Prompt + "\n"), ["generate", .. options]);
        var dash = await ToolProcess.RunAsync(ToolStart.WithInput(Prompt), ["generate", "-", .. options]);
        var file = await ToolProcess.RunAsync(["generate", "--prompt-file", folder.Write("prompt.txt", Prompt + "\r\n"), .. options]);
        var ids = await ToolProcess.RunAsync(["generate", "--prompt-ids", "0,48,1304,608,260,585,469,307,260,550", .. options]);
        Assert.Equal(" boy, who had been in the house", argument.Output);
        Assert.All((ToolResult[])[stdin, dash, file, ids], result => Assert.Equal(argument.Output, result.Output));
    }

    [Fact]
    public async Task AnEmptyPromptStartsFromNothing()
    {
        var result = await ToolProcess.RunAsync("generate", "", "-n", "4", "--seed", "1", "--json");
        Assert.Equal(0, result.ExitCode);
        using var json = JsonDocument.Parse(result.Output);
        Assert.Equal([0], Ids(json.RootElement.GetProperty("prompt_ids")));
        Assert.Equal(4, json.RootElement.GetProperty("ids").GetArrayLength());
    }

    [Fact]
    public async Task TheSameSeedGivesTheSameTextOnAnyNumberOfThreads()
    {
        string[] options = ["generate", Prompt, "-n", "24", "--seed", "7", "--json"];
        var one = await TextAsync([.. options, "--threads", "1"]);
        var two = await TextAsync([.. options, "--threads", "2"]);
        var other = await TextAsync(["generate", Prompt, "-n", "24", "--seed", "8", "--json"]);
        Assert.Equal(one, two);
        Assert.NotEqual(one, other);
    }

    [Fact]
    public async Task TheSeedItDrewGivesTheTextAgain()
    {
        var first = await ToolProcess.RunAsync("generate", Prompt, "-n", "16", "--json");
        using var json = JsonDocument.Parse(first.Output);
        string seed = json.RootElement.GetProperty("seed").GetRawText();
        Assert.Equal(json.RootElement.GetProperty("text").GetString(), await TextAsync(["generate", Prompt, "-n", "16", "--json", "--seed", seed]));
    }

    [Theory]
    [InlineData("float32")]
    [InlineData("bfloat16")]
    [InlineData("int8")]
    [InlineData("INT4")]
    public async Task EveryWeightFormatCanBeAskedFor(string format)
    {
        var result = await ToolProcess.RunAsync("generate", Prompt, "--greedy", "-n", "1", "--weights", format, "--verbose");
        Assert.Equal(" boy", result.Output);
        Assert.Contains($"parameters in {format.ToLowerInvariant()},", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task EchoPutsThePromptFirst()
    {
        var result = await ToolProcess.RunAsync("generate", Prompt, "--greedy", "-n", "1", "--echo");
        Assert.Equal(Prompt + " boy", result.Output);
    }

    [Fact]
    public async Task NoBosLeavesOutTheBeginOfText()
    {
        var result = await ToolProcess.RunAsync("generate", "Once", "--no-bos", "--greedy", "-n", "1", "--json");
        using var json = JsonDocument.Parse(result.Output);
        Assert.DoesNotContain(0, Ids(json.RootElement.GetProperty("prompt_ids")));
    }

    [Fact]
    public async Task StopStringsEndTheTextBeforeThem()
    {
        var result = await ToolProcess.RunAsync("generate", Prompt, "--greedy", "-n", "40", "--stop", "never", "--stop", "the hou", "--json");
        using var json = JsonDocument.Parse(result.Output);
        Assert.Equal(" boy, who had been in ", json.RootElement.GetProperty("text").GetString());
        Assert.Equal("stop_string", json.RootElement.GetProperty("finish_reason").GetString());
    }

    [Fact]
    public async Task ALineFeedInAStopStringIsTypedAsItIsWrittenInCode()
    {
        var result = await ToolProcess.RunAsync("generate", "tell the difference between lstm and transformers.", "--greedy", "-n", "20", "--stop", @"\n\n", "--json");
        using var json = JsonDocument.Parse(result.Output);
        Assert.Equal("", json.RootElement.GetProperty("text").GetString());
        Assert.Equal("stop_string", json.RootElement.GetProperty("finish_reason").GetString());
    }

    [Fact]
    public async Task LogitBiasForbidsAndForces()
    {
        Assert.DoesNotContain("boy", await TextAsync(["generate", Prompt, "--greedy", "-n", "1", "--json", "--logit-bias", "983=-inf"]), StringComparison.Ordinal);
        Assert.Equal(",", await TextAsync(["generate", Prompt, "--greedy", "-n", "1", "--json", "--logit-bias", "983=-3", "--logit-bias", "13=100"]));
    }

    [Fact]
    public async Task LogProbsForPeopleGoToStderr()
    {
        var result = await ToolProcess.RunAsync("generate", Prompt, "--greedy", "-n", "2", "--logprobs", "1");
        Assert.Equal(" boy,", result.Output);
        Assert.Contains(result.ErrorLines, line => line.StartsWith("' boy'", StringComparison.Ordinal));
    }

    [Fact]
    public async Task ManyPromptsAreAnsweredInOrderEachWithItsOwnOptions()
    {
        using var folder = new TemporaryFolder();
        string prompts = folder.Write("prompts.jsonl", $$"""
            "{{Prompt}}"

            {"prompt": "{{Prompt}}", "id": "second", "max_new_tokens": 1}
            {"prompt_ids": [0, 48, 1304], "id": 3, "greedy": false, "seed": 5, "stop": ["a"], "logit_bias": { "1": -100, "2": null } }
            """);
        var result = await ToolProcess.RunAsync("generate", "--prompts", prompts, "--greedy", "-n", "3");
        Assert.Equal(0, result.ExitCode);
        var lines = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement).ToArray();
        Assert.Equal(3, lines.Length);
        Assert.Equal(" boy, who", lines[0].GetProperty("text").GetString());
        Assert.False(lines[0].TryGetProperty("id", out _));
        Assert.Equal((" boy", "second"), (lines[1].GetProperty("text").GetString(), lines[1].GetProperty("id").GetString()));
        Assert.Equal((3, 5), (lines[2].GetProperty("id").GetInt32(), lines[2].GetProperty("seed").GetInt32()));
        Assert.Equal([0, 48, 1304], Ids(lines[2].GetProperty("prompt_ids")));
        Assert.Matches(TimingLine(), result.ErrorLines[^1]);
    }

    [Theory]
    [InlineData("prompts.jsonl line 2 is not JSON", "\"a\"\n{\"prompt\": ")]
    [InlineData("prompts.jsonl line 1: expected a JSON string or object", "[1]")]
    [InlineData("prompts.jsonl line 1: tempreature is not an option", "{\"prompt\": \"a\", \"tempreature\": 1}")]
    [InlineData("prompts.jsonl line 1: top_p: expected a number above 0 and at most 1, found 2", "{\"prompt\": \"a\", \"top_p\": 2}")]
    [InlineData("prompts.jsonl line 1: expected either prompt or prompt_ids", "{\"id\": 1}")]
    [InlineData("prompts.jsonl holds no prompts", "\n\n")]
    public async Task ABadLineOfPromptsIsNamedBeforeAnythingIsLoaded(string says, string lines)
    {
        using var folder = new TemporaryFolder();
        var result = await ToolProcess.RunAsync("generate", "--prompts", folder.Write("prompts.jsonl", lines));
        Assert.Equal(1, result.ExitCode);
        Assert.Empty(result.Output);
        Assert.Contains(says, Assert.Single(result.ErrorLines), StringComparison.Ordinal);
    }

    [Fact]
    public async Task ShowConfigPrintsTheBlock()
    {
        var result = await ToolProcess.RunAsync("generate", "", "-n", "0", "--show-config");
        Assert.Empty(result.Output);
        Assert.Contains("mLSTMLayerConfig(embedding_dim=256,\n                 num_heads=4,\n", result.Error, StringComparison.Ordinal);
        Assert.Contains("\n                 weight_mode='single')\n", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task TheModelComesFromTheOptionThenTheEnvironmentThenTheClone()
    {
        using var folder = new TemporaryFolder();
        var environment = new ToolStart { Folder = folder.Path, Environment = { ["XLSTM_MODEL"] = Repository.Demo } };
        Assert.Equal(0, (await ToolProcess.RunAsync(environment, "tokenize", "a")).ExitCode);
        Assert.Equal(1, (await ToolProcess.RunAsync(environment, "tokenize", "--model", "elsewhere", "a")).ExitCode);
        // Not in the clone, but the tool itself is.
        Assert.Equal(0, (await ToolProcess.RunAsync(new ToolStart { Folder = folder.Path }, "tokenize", "a")).ExitCode);
    }

    [Fact]
    public async Task ACachedHuggingFaceRepositoryIsFoundByItsName()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("The cache's layout of symbolic links needs a privilege on Windows.");
        }

        using var folder = new TemporaryFolder();
        string repository = folder.File("models--NX-AI--demo");
        string snapshot = Path.Combine(repository, "snapshots", "0123abcd");
        Directory.CreateDirectory(snapshot);
        Directory.CreateDirectory(Path.Combine(repository, "refs"));
        File.WriteAllText(Path.Combine(repository, "refs", "main"), "0123abcd");
        foreach (string file in Directory.GetFiles(Repository.Demo))
        {
            File.CreateSymbolicLink(Path.Combine(snapshot, Path.GetFileName(file)), file);
        }

        var start = new ToolStart { Environment = { ["HF_HUB_CACHE"] = folder.Path } };
        string[] options = ["generate", Prompt, "--greedy", "-n", "1", "--model"];
        Assert.Equal(" boy", (await ToolProcess.RunAsync(start, [.. options, "NX-AI/demo"])).Output);
        Assert.Equal(" boy", (await ToolProcess.RunAsync(start, [.. options, repository])).Output);
    }

    private static async Task<string> TextAsync(string[] arguments)
    {
        var result = await ToolProcess.RunAsync(arguments);
        Assert.Equal(0, result.ExitCode);
        using var json = JsonDocument.Parse(Encoding.UTF8.GetString(result.OutputBytes));
        return json.RootElement.GetProperty("text").GetString()!;
    }

    private static int[] Ids(JsonElement array) => [.. array.EnumerateArray().Select(id => id.GetInt32())];
}
