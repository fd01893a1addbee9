using System.Runtime.InteropServices;
using System.Text.Json;
using Xunit;

namespace Xlstm.Cli.Tests;

/// <summary>Risk: a run that goes on from a file or a cache makes another text than one that never stopped, or a bad file is not told in one line.</summary>
public sealed partial class SessionTests : IDisposable
{
    private const string Prompt = "Once upon a time there was a little";

    private readonly TemporaryFolder _folder = new();

    private string SessionPath => Path.Combine(_folder.Path, "a.session");

    public void Dispose() => _folder.Dispose();

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int processId, int signal);

    [Fact]
    public async Task GoesOnAsIfItHadNeverStopped()
    {
        string[] whole = await Ids("generate", Prompt, "--greedy", "-n", "30", "--json");
        string[] first = await Ids("generate", Prompt, "--greedy", "-n", "10", "--json", "--save-session", SessionPath);
        string[] second = await Ids("generate", "--session", SessionPath, "--save-session", SessionPath, "--greedy", "-n", "10", "--json");
        string[] third = await Ids("generate", "--session", SessionPath, "--greedy", "-n", "10", "--json");
        Assert.Equal(whole, (string[])[.. first, .. second, .. third]);
    }

    [Fact]
    public async Task APromptIsAddedToTheSession()
    {
        string[] whole = await Ids("generate", "The old man said nothing.", "--greedy", "-n", "12", "--json");
        await Ids("generate", "The old man", "-n", "0", "--json", "--save-session", SessionPath);
        Assert.Equal(whole, await Ids("generate", " said nothing.", "--session", SessionPath, "--greedy", "-n", "12", "--json"));
    }

    /// <summary>The last token of a generation waits in the session, so that the next run reads one more than its prompt.</summary>
    [Fact]
    public async Task WhatASessionBringsUnreadCountsAsRead()
    {
        await Ids("generate", Prompt, "--greedy", "-n", "5", "--json", "--save-session", SessionPath);
        var result = await ToolProcess.RunAsync("generate", " and then", "--session", SessionPath, "--greedy", "-n", "3", "--json");
        using var json = JsonDocument.Parse(result.Output);
        int prompt = json.RootElement.GetProperty("prompt_ids").GetArrayLength();
        Assert.Equal(prompt + 1, json.RootElement.GetProperty("timings").GetProperty("prompt_tokens").GetInt32());
    }

    [Fact]
    public async Task ACacheFolderSavesTheReadingAndChangesNothing()
    {
        string cache = Path.Combine(_folder.Path, "cache");
        string[] arguments = ["generate", Prompt + " girl who lived by the sea with her brother", "--greedy", "-n", "12", "--json"];
        string[] whole = await Ids(arguments);
        Assert.Equal(whole, await Ids([.. arguments, "--cache-dir", cache]));
        var result = await ToolProcess.RunAsync([.. arguments, "--cache-dir", cache, "--verbose"]);
        Assert.Contains("tokens need not be read", result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("Prefix cache: 0 tokens", result.Error, StringComparison.Ordinal);
        using var json = JsonDocument.Parse(result.Output);
        Assert.Equal(whole, json.RootElement.GetProperty("ids").EnumerateArray().Select(id => id.ToString()));
    }

    [Fact]
    public async Task AnInterruptedRunIsSavedAndGoesOn()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "signals are sent by kill");
        using var process = ToolProcess.Start(new ToolStart(), "generate", Prompt, "-n", "10000000", "--ignore-eos", "--greedy", "--save-session", SessionPath);
        Assert.Equal(1, await process.StandardOutput.ReadAsync(new char[1]));
        Assert.Equal(0, Kill(process.Id, 2));
        string rest = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.Equal(130, process.ExitCode);
        var result = await ToolProcess.RunAsync("generate", "--session", SessionPath, "--greedy", "-n", "3", "--ignore-eos");
        Assert.Equal(0, result.ExitCode);
        Assert.NotEmpty(result.Output);
        Assert.True(SessionFile.ReadInfo(SessionPath).Tokens.Count > 8, rest);
    }

    /// <summary>Of a long prompt that is broken off, what was not read yet waits in the file.</summary>
    [Fact]
    public async Task AnInterruptedPromptIsSavedWithItsRest()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "signals are sent by kill");
        string prompt = Path.Combine(_folder.Path, "long.txt");
        File.WriteAllText(prompt, string.Concat(Enumerable.Repeat("It was a dark and stormy night, and the rain fell in torrents.\n", 20_000)));
        using var process = ToolProcess.Start(new ToolStart(), "generate", "--prompt-file", prompt, "-n", "0", "--save-session", SessionPath);
        Assert.StartsWith("Loading checkpoint shards", await process.StandardError.ReadLineAsync(), StringComparison.Ordinal);
        await Task.Delay(TimeSpan.FromSeconds(2));
        Assert.Equal(0, Kill(process.Id, 2));
        await process.WaitForExitAsync();
        Assert.Equal(130, process.ExitCode);
        var info = SessionFile.ReadInfo(SessionPath);
        Assert.InRange(info.Position, 1, info.Tokens.Count - 1);
        Assert.InRange(info.Tokens.Count, 200_000, 500_000);
    }

    [Fact]
    public async Task BadFilesAndOptionsAreToldInOneLine()
    {
        string none = Path.Combine(_folder.Path, "none.session");
        await AssertFails(1, $"xlstm: {none}: there is no such session file", "generate", "--session", none, "x");
        File.WriteAllText(none, "not a session");
        await AssertFails(1, $"xlstm: {none}: is not a session file", "generate", "--session", none, "x");
        await AssertFails(1, "to save it in", "generate", "--save-session", Path.Combine(_folder.Path, "no", "a"), "x");
        await AssertFails(2, "--session or --cache-dir", "generate", "--session", none, "--cache-dir", _folder.Path, "x");
        await AssertFails(2, "not for --prompts", "generate", "--session", none, "--prompts", "x");
    }

    private static async Task AssertFails(int exitCode, string message, params string[] arguments)
    {
        var result = await ToolProcess.RunAsync(arguments);
        Assert.Equal(exitCode, result.ExitCode);
        Assert.Contains(message, result.ErrorLines[0], StringComparison.Ordinal);
        Assert.Empty(result.Output);
    }

    private static async Task<string[]> Ids(params string[] arguments)
    {
        var result = await ToolProcess.RunAsync(arguments);
        Assert.True(result.ExitCode == 0, result.Error);
        using var json = JsonDocument.Parse(result.Output);
        return [.. json.RootElement.GetProperty("ids").EnumerateArray().Select(id => id.ToString())];
    }
}
