using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using Xunit;

namespace Xlstm.Cli.Tests;

/// <summary>Risk: a run that is stopped loses its text, hangs, or ends in a stack trace.</summary>
public partial class SignalTests
{
    private const int SigInt = 2;
    private const int SigTerm = 15;

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int processId, int signal);

    [Theory]
    [InlineData(SigInt, 130)]
    [InlineData(SigTerm, 143)]
    public async Task ASignalStopsTheTextAndStillPrintsTheTimes(int signal, int exitCode)
    {
        SkipOnWindows();
        using var process = ToolProcess.Start(new ToolStart(), "generate", "Once upon a time", "-n", "10000000", "--ignore-eos", "--seed", "1");
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        try
        {
            // The first text shows that it is generating.
            Assert.Equal(1, await process.StandardOutput.ReadAsync(new char[1], limit.Token));
            var rest = process.StandardOutput.ReadToEndAsync(limit.Token);
            var error = process.StandardError.ReadToEndAsync(limit.Token);
            Assert.Equal(0, Kill(process.Id, signal));
            await process.WaitForExitAsync(limit.Token);
            await rest;
            Assert.Equal(exitCode, process.ExitCode);
            string[] lines = (await error).Split('\n', StringSplitOptions.RemoveEmptyEntries);
            Assert.StartsWith("Generation time: ", lines[^1], StringComparison.Ordinal);
            Assert.Equal(2, lines.Length);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill();
            }
        }
    }

    [Fact]
    public async Task JsonOfAnInterruptedRunHoldsWhatThereWas()
    {
        SkipOnWindows();
        var start = new ToolStart
        {
            // The shards' line on stderr comes before generation starts; a little later there is text.
            Meanwhile = async process =>
            {
                await Task.Delay(TimeSpan.FromSeconds(3));
                Assert.Equal(0, Kill(process.Id, SigInt));
            },
        };
        var result = await ToolProcess.RunAsync(start, "generate", "Once upon a time", "-n", "10000000", "--ignore-eos", "--json");
        Assert.Equal(130, result.ExitCode);
        using var json = JsonDocument.Parse(result.Output);
        Assert.Equal("interrupted", json.RootElement.GetProperty("finish_reason").GetString());
    }

    [Fact]
    public async Task AReaderThatHasEnoughEndsTheRunQuietly()
    {
        SkipOnWindows();
        using var process = ToolProcess.Start(new ToolStart(), "generate", "Once upon a time", "-n", "10000000", "--ignore-eos", "--seed", "1");
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        try
        {
            Assert.Equal(1, await process.StandardOutput.ReadAsync(new char[1], limit.Token));
            process.StandardOutput.Close();
            string error = await process.StandardError.ReadToEndAsync(limit.Token);
            await process.WaitForExitAsync(limit.Token);
            Assert.Equal(0, process.ExitCode);
            Assert.StartsWith("Loading checkpoint shards", Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill();
            }
        }
    }

    [Fact]
    public async Task WhatStandsInAFileIsNotOverwritten()
    {
        SkipOnWindows();
        // Both streams and the shell share one file position: a stream that kept its own would write over the others.
        using var folder = new TemporaryFolder();
        string file = folder.File("out.txt");
        string tool = Path.Combine(AppContext.BaseDirectory, "Xlstm.Cli.dll");
        using var shell = Process.Start(new ProcessStartInfo("sh", ["-c", $"(echo before; dotnet '{tool}' generate 'Once upon' --greedy -n 3; echo; echo after) > '{file}' 2>&1"]) { WorkingDirectory = Repository.Root })!;
        await shell.WaitForExitAsync();
        string[] lines = await File.ReadAllLinesAsync(file);
        Assert.Equal("before", lines[0]);
        Assert.StartsWith("Loading checkpoint shards", lines[1], StringComparison.Ordinal);
        Assert.StartsWith(" a time", lines[2], StringComparison.Ordinal);
        Assert.StartsWith("Generation time", lines[3], StringComparison.Ordinal);
        Assert.Equal("after", lines[^1]);
    }

    private static void SkipOnWindows()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("Signals and pipes of POSIX.");
        }
    }
}
