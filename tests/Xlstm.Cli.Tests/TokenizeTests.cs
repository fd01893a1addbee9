using System.Text;
using System.Text.Json;
using Xunit;

namespace Xlstm.Cli.Tests;

/// <summary>Risk: stdin is not read byte for byte, or what is printed cannot be fed back.</summary>
public class TokenizeTests
{
    private const string Text = "  Two  spaces,\ta tab,\r\n\r\nnaïve “quotes”, 数学 and 🦀\n\n";

    [Fact]
    public async Task ThereAndBackThroughPipes()
    {
        var ids = await ToolProcess.RunAsync(ToolStart.WithInput(Text), "tokenize");
        Assert.Equal(0, ids.ExitCode);
        Assert.Empty(ids.Error);
        var text = await ToolProcess.RunAsync(ToolStart.WithInput(ids.Output), "tokenize", "--decode");
        Assert.Equal(Encoding.UTF8.GetBytes(Text), text.OutputBytes);
    }

    [Fact]
    public async Task AnArgumentAndStdinGiveTheSameIds()
    {
        var argument = await ToolProcess.RunAsync("tokenize", "Once upon a time");
        var stdin = await ToolProcess.RunAsync(ToolStart.WithInput("Once upon a time"), "tokenize", "-");
        Assert.Equal("48,1304,608,260,585\n", argument.Output);
        Assert.Equal(argument.Output, stdin.Output);
    }

    [Fact]
    public async Task JsonAndBeginOfText()
    {
        var result = await ToolProcess.RunAsync("tokenize", "--json", "--bos", "Once upon a time");
        using var json = JsonDocument.Parse(result.Output);
        Assert.Equal([0, 48, 1304, 608, 260, 585], json.RootElement.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()));
    }

    [Fact]
    public async Task DecodedTextAsJson()
    {
        var result = await ToolProcess.RunAsync("tokenize", "--decode", "--json", "[0, 48, 1304, 608]");
        using var json = JsonDocument.Parse(result.Output);
        Assert.Equal("<|endoftext|>Once upon", json.RootElement.GetProperty("text").GetString());
    }

    [Fact]
    public async Task NothingIsNoIds()
    {
        var result = await ToolProcess.RunAsync("tokenize", "--json");
        Assert.Equal("{\"ids\":[]}\n", result.Output);
    }
}
