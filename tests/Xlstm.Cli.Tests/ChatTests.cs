using Xunit;

namespace Xlstm.Cli.Tests;

/// <summary>Risk: a command of the chat leaves another state than the conversation it shows; or the chat does not work in a pipe.</summary>
public sealed class ChatTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task RepliesInAPipeAreTextAlone()
    {
        var result = await Chat("Hello, who are you?", "And what do you want?");
        Assert.Equal(0, result.ExitCode);
        Assert.Equal(2, Replies(result).Length);
        Assert.DoesNotContain("User:", result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain('\e', result.Output + result.Error);
        Assert.Single(result.ErrorLines);
    }

    [Fact]
    public async Task UndoEditAndRegenerateGoBackExactly()
    {
        string[] straight = Replies(await Chat("Hello, who are you?", "And what do you want?"));
        Assert.Equal((string[])[.. straight, straight[1]], Replies(await Chat("Hello, who are you?", "And what do you want?", "/regen")));
        string[] undone = Replies(await Chat("Hello, who are you?", "Go away.", "/undo", "And what do you want?"));
        Assert.Equal((straight[0], straight[1]), (undone[0], undone[2]));
        string[] edited = Replies(await Chat("Hello, who are you?", "Go away.", "/edit And what do you want?"));
        Assert.Equal((straight[0], straight[1]), (edited[0], edited[2]));
    }

    [Fact]
    public async Task ForksGoTheirOwnWays()
    {
        string[] straight = Replies(await Chat("Hello, who are you?", "And what do you want?"));
        string[] forked = Replies(await Chat("Hello, who are you?", "/fork other", "Go away.", "/switch main", "And what do you want?"));
        Assert.Equal((straight[0], straight[1]), (forked[0], forked[2]));
    }

    [Fact]
    public async Task ASavedConversationGoesOn()
    {
        string path = Path.Combine(_folder.Path, "talk.session");
        string[] straight = Replies(await Chat("Hello, who are you?", "And what do you want?", "Is that so?"));
        string[] first = Replies(await Chat("Hello, who are you?", "/save " + path, "Go away."));
        var loaded = await ToolProcess.RunAsync(ToolStart.WithInput("And what do you want?\nGo away.\n/undo\nIs that so?\n"), [.. Arguments, "--session", path]);
        string[] second = Replies(loaded);
        Assert.Equal(straight, (string[])[first[0], second[0], second[2]]);
        string[] third = Replies(await Chat("Go away.", "/load " + path, "/undo", "Hello, who are you?"));
        Assert.Equal(straight[0], third[1]);
    }

    [Fact]
    public async Task ASlipDoesNotEndTheChat()
    {
        var result = await Chat("/undo", "/nonsense", "/params temperature=hot", "/load " + Path.Combine(_folder.Path, "none"), "/switch x", "/fork", "/help", "/stats", "/params top_k=3", "/system Be brief.", "/system", "Hello");
        Assert.Equal(0, result.ExitCode);
        Assert.Single(Replies(result));
        string[] lines = [.. result.ErrorLines.Skip(1)];
        Assert.Equal("xlstm: nothing has been said yet", lines[0]);
        Assert.Equal("xlstm: there is no command /nonsense: /help lists them", lines[1]);
        Assert.Contains("expected a number of at least 0", lines[2], StringComparison.Ordinal);
        Assert.Contains("there is no such session file", lines[3], StringComparison.Ordinal);
        Assert.Contains("there is no conversation x", lines[4], StringComparison.Ordinal);
        Assert.Equal("xlstm: expected /fork NAME", lines[5]);
        Assert.Contains(lines, line => line.Contains("top_k=3", StringComparison.Ordinal));
        Assert.Equal("Be brief.", lines[^1]);
    }

    [Fact]
    public async Task LinesCanBeJoined()
    {
        string path = Path.Combine(_folder.Path, "talk.session");
        await Chat("\"\"\"One line", "and another.", "\"\"\"", "Hello\\", "there", "/save " + path);
        string note = SessionFile.ReadInfo(path).Note;
        Assert.Contains(@"""user"":""One line\nand another.""", note, StringComparison.Ordinal);
        Assert.Contains(@"""user"":""Hello\nthere""", note, StringComparison.Ordinal);
    }

    private static readonly string[] Arguments = ["chat", "--greedy", "-n", "12", "--weights", "float32", "--stop", "\\n"];

    private static Task<ToolResult> Chat(params string[] lines) => ToolProcess.RunAsync(ToolStart.WithInput(string.Join('\n', lines) + "\n"), Arguments);

    /// <summary>Replies of one line each, which may be empty.</summary>
    private static string[] Replies(ToolResult result)
    {
        Assert.True(result.ExitCode == 0, result.Error);
        return result.Output.Split('\n')[..^1];
    }
}
