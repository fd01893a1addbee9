using Xunit;

namespace Xlstm.Cli.Tests;

/// <summary>Risk: wrong input ends in a stack trace, in silence, or in a wrong exit code that a script takes for success.</summary>
public class UsageTests
{
    [Theory]
    [InlineData("unknown command 'genrate': did you mean 'generate'?", "genrate")]
    [InlineData("unknown option '--gredy': did you mean '--greedy'?", "generate", "--gredy")]
    [InlineData("unknown option '--gredy': did you mean '--greedy'?", "generate", "--gredy", "Once upon")]
    [InlineData("put a PROMPT of several words in quotes", "generate", "Once", "upon")]
    [InlineData("-n needs a value", "generate", "-n")]
    [InlineData("-n x: expected a whole number of at least 0", "generate", "-n", "x")]
    [InlineData("--top-p 1.5: expected a number above 0 and at most 1", "generate", "--top-p", "1.5", "x")]
    [InlineData("--temperature 0,5: expected a number of at least 0", "generate", "--temperature", "0,5", "x")]
    [InlineData("--seed is given more than once", "generate", "--seed", "1", "--seed", "2", "x")]
    [InlineData("--logit-bias 5: expected ID=X", "generate", "--logit-bias", "5", "x")]
    [InlineData("--weights int3: expected float32, bfloat16, int8 or int4", "generate", "--weights", "int3", "x")]
    [InlineData("--state int8: expected float32 or bfloat16", "generate", "--state", "int8", "x")]
    [InlineData("--prompt-ids: expected token ids such as 0,5,7, found 'a'", "generate", "--prompt-ids", "0,a")]
    [InlineData("give one of PROMPT, --prompt-file, --prompt-ids and --prompts", "generate", "x", "--prompt-ids", "0")]
    [InlineData("give --ids or --ids-file", "logits", "--output", "x.safetensors")]
    [InlineData("--output", "logits", "--ids", "0")]
    [InlineData("--like", "synthesize", "--output", "x")]
    [InlineData("--file", "perplexity")]
    [InlineData("--stride needs a --context", "perplexity", "--file", "README.md", "--stride", "5")]
    [InlineData("--weights fp8: expected float32, bfloat16, int8 or int4", "bench", "--weights", "int8,fp8")]
    [InlineData("--threads 1,x: expected a whole number of at least 1", "bench", "--threads", "1,x")]
    [InlineData("--state int8: expected float32 or bfloat16", "bench", "--state", "int8")]
    [InlineData("--output xml: expected md, csv, json", "bench", "--output", "xml")]
    [InlineData("--model and --like exclude each other", "bench", "--model", "models/demo", "--like", "160m")]
    [InlineData("nothing to measure", "bench", "-p", "0", "-g", "0")]
    public async Task WrongUsageIsOneLineAHintAndExitCode2(string says, params string[] arguments)
    {
        var result = await ToolProcess.RunAsync(arguments);
        Assert.Equal(2, result.ExitCode);
        Assert.Empty(result.Output);
        Assert.Equal(2, result.ErrorLines.Length);
        Assert.StartsWith("xlstm: ", result.ErrorLines[0], StringComparison.Ordinal);
        Assert.Contains(says, result.ErrorLines[0], StringComparison.Ordinal);
        Assert.Contains("--help", result.ErrorLines[1], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("no such folder", "generate", "--model", "does-not-exist", "x")]
    [InlineData("config.json", "inspect", "--model", "src")]
    [InlineData("no-such-file", "generate", "--prompt-file", "no-such-file")]
    [InlineData("no-such-file", "logits", "--ids-file", "no-such-file", "--output", "x.safetensors")]
    [InlineData("token id 4096", "generate", "--prompt-ids", "0,4096")]
    [InlineData("token id -1", "generate", "--prompt-ids", "-1")]
    [InlineData("token id 99999999999", "generate", "--prompt-ids", "99999999999")]
    [InlineData("token id 4096", "tokenize", "--decode", "4096")]
    [InlineData("empty", "generate", "--no-bos", "")]
    [InlineData("bfloat16 states need a GPU", "generate", "--device", "cpu", "--state", "bfloat16", "x")]
    [InlineData("neither a known size", "synthesize", "--like", "8b", "--output", "x")]
    [InlineData("neither a known size", "bench", "--like", "8b")]
    [InlineData("device is tpu, expected auto, cpu, cuda, cuda:N or cuda:N,M", "bench", "--device", "tpu")]
    [InlineData("bfloat16 states need a GPU", "bench", "--device", "cpu", "--state", "bfloat16")]
    [InlineData("no-such-file", "perplexity", "--file", "no-such-file")]
    [InlineData("--skip-tokens leaves out 999999", "perplexity", "--file", "README.md", "--skip-tokens", "999999")]
    [InlineData("tokenizer.json", "perplexity", "--file", "README.md", "--model", "tests/Xlstm.Tests/Fixtures/reference/tiny-single")]
    public async Task BadInputIsOneLineAndExitCode1(string says, params string[] arguments)
    {
        var result = await ToolProcess.RunAsync(arguments);
        Assert.Equal(1, result.ExitCode);
        Assert.Empty(result.Output);
        string line = Assert.Single(result.ErrorLines, l => !l.StartsWith("Loading", StringComparison.Ordinal));
        Assert.StartsWith("xlstm: ", line, StringComparison.Ordinal);
        Assert.Contains(says, line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task VerboseAddsTheStackTrace()
    {
        var result = await ToolProcess.RunAsync("inspect", "--verbose", "--model", "src");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("   at Xlstm.", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task WithoutAnyModelItSaysWhatToDo()
    {
        // Away from the clone there is no demo: the tool is copied, since it looks around itself too.
        using var folder = new TemporaryFolder();
        foreach (string file in Directory.GetFiles(AppContext.BaseDirectory).Where(f => Path.GetFileName(f).StartsWith("Xlstm.", StringComparison.Ordinal) || f.Contains("System.CommandLine", StringComparison.Ordinal)))
        {
            File.Copy(file, folder.File(Path.GetFileName(file)));
        }

        var result = await ToolProcess.RunAsync(new ToolStart { Folder = folder.Path, Tool = folder.File("Xlstm.Cli.dll") }, "generate", "x");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("--model DIR", Assert.Single(result.ErrorLines), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("xlstm generate", "--help")]
    [InlineData("--temperature", "generate", "--help")]
    [InlineData("--decode", "tokenize", "-h")]
    [InlineData("Examples:", "inspect", "--help")]
    [InlineData("--ids-file", "logits", "--help")]
    [InlineData("xlstm-7b", "synthesize", "--help")]
    [InlineData("generate")]
    public async Task HelpGoesToStdout(string says, params string[] arguments)
    {
        var result = await ToolProcess.RunAsync(arguments);
        Assert.Equal(0, result.ExitCode);
        Assert.Contains(says, result.Output, StringComparison.Ordinal);
        Assert.Empty(result.Error);
    }

    [Fact]
    public async Task VersionIsThatOfTheLibrary()
    {
        var result = await ToolProcess.RunAsync("--version");
        Assert.StartsWith(typeof(XlstmModel).Assembly.GetName().Version!.ToString(3), result.Output, StringComparison.Ordinal);
    }
}
