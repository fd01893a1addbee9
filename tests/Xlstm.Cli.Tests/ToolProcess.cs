using System.Diagnostics;
using System.Text;

namespace Xlstm.Cli.Tests;

/// <summary>What a run of the tool left behind.</summary>
internal sealed record ToolResult(int ExitCode, byte[] OutputBytes, string Error)
{
    public string Output => Encoding.UTF8.GetString(OutputBytes);

    /// <summary>The lines of stderr.</summary>
    public string[] ErrorLines => Error.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
}

/// <summary>The tool as a process of its own. It is killed when a test takes too long.</summary>
internal static class ToolProcess
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(100);

    /// <summary>Runs the tool with stdin closed and the demo as its model.</summary>
    public static Task<ToolResult> RunAsync(params string[] arguments) => RunAsync(new ToolStart(), arguments);

    public static async Task<ToolResult> RunAsync(ToolStart start, params string[] arguments)
    {
        using var process = Start(start, arguments);
        using var limit = new CancellationTokenSource(Limit);
        try
        {
            var output = ReadAsync(process.StandardOutput.BaseStream, limit.Token);
            var error = process.StandardError.ReadToEndAsync(limit.Token);
            if (start.Meanwhile is not null)
            {
                await start.Meanwhile(process);
            }

            await WriteInputAsync(process, start.Input);
            await process.WaitForExitAsync(limit.Token);
            return new ToolResult(process.ExitCode, await output, await error);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill();
            }
        }
    }

    public static Process Start(ToolStart start, params string[] arguments)
    {
        var info = new ProcessStartInfo(Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardErrorEncoding = Encoding.UTF8,
            WorkingDirectory = start.Folder ?? Repository.Root,
        };
        info.ArgumentList.Add(start.Tool ?? Path.Combine(AppContext.BaseDirectory, "Xlstm.Cli.dll"));
        foreach (string argument in arguments)
        {
            info.ArgumentList.Add(argument);
        }

        info.Environment.Remove("XLSTM_MODEL");
        foreach (var (name, value) in start.Environment)
        {
            info.Environment[name] = value;
        }

        return Process.Start(info)!;
    }

    private static async Task WriteInputAsync(Process process, byte[] input)
    {
        try
        {
            await process.StandardInput.BaseStream.WriteAsync(input);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // The tool ended without reading it.
        }
    }

    private static async Task<byte[]> ReadAsync(Stream stream, CancellationToken cancellationToken)
    {
        using var bytes = new MemoryStream();
        await stream.CopyToAsync(bytes, cancellationToken);
        return bytes.ToArray();
    }
}

/// <summary>Where a run of the tool starts from.</summary>
internal sealed record ToolStart
{
    public byte[] Input { get; init; } = [];

    public string? Folder { get; init; }

    /// <summary>Another copy of the tool than the one beside the tests.</summary>
    public string? Tool { get; init; }

    public Dictionary<string, string> Environment { get; init; } = [];

    /// <summary>Done after the start and before stdin is closed.</summary>
    public Func<Process, Task>? Meanwhile { get; init; }

    public static ToolStart WithInput(string text) => new() { Input = Encoding.UTF8.GetBytes(text) };
}
