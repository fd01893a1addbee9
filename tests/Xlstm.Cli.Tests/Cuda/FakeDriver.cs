using System.ComponentModel;
using System.Diagnostics;
using Xunit;

namespace Xlstm.Cli.Tests.Cuda;

/// <summary>Compiles fake_driver.c once, with whatever C compiler the machine has; tests that need it are skipped where it has none.</summary>
public sealed class FakeDriver : IDisposable
{
    private static readonly string[] Compilers = ["clang-19", "cc", "gcc", "clang"];

    private readonly TemporaryFolder _folder = new();
    private readonly string? _fault;

    public FakeDriver() => _fault = OperatingSystem.IsLinux() ? Compile() : "the stand-in for the driver is for Linux";

    /// <summary>Runs the tool with the stand-in for a driver; asserts that it leaves nothing allocated.</summary>
    /// <param name="settings">As fake_driver.c says.</param>
    /// <param name="arguments">Of the tool.</param>
    internal async Task<ToolResult> RunAsync(string settings, params string[] arguments)
    {
        Assert.SkipWhen(_fault is not null, _fault ?? "");
        string report = Path.Combine(_folder.Path, Path.GetRandomFileName());
        var start = new ToolStart { Environment = { ["LD_LIBRARY_PATH"] = _folder.Path, ["FAKE_CUDA"] = $"{settings},report={report}" } };
        ToolResult result = await ToolProcess.RunAsync(start, arguments);
        if (File.Exists(report)) // else the driver was not even opened
        {
            Assert.Equal("contexts=0 streams=0 events=0 graphs=0 executables=0 modules=0 pinned=0 buffers=0", (await File.ReadAllTextAsync(report)).Trim());
        }

        return result;
    }

    /// <summary>Runs the tool as <see cref="RunAsync"/> does; asserts that it fails and that one line, which it returns, says why.</summary>
    internal async Task<(ToolResult Result, string Line)> FailAsync(string expected, string settings, params string[] arguments)
    {
        ToolResult result = await RunAsync(settings, arguments);
        Assert.Equal(1, result.ExitCode);
        string line = Assert.Single(result.ErrorLines, line => line.StartsWith("xlstm: ", StringComparison.Ordinal));
        Assert.Contains(expected, line, StringComparison.Ordinal);
        return (result, line);
    }

    public void Dispose() => _folder.Dispose();

    private string? Compile()
    {
        string source = Path.Combine(Repository.Root, "tests", "Xlstm.Cli.Tests", "Cuda", "fake_driver.c");
        foreach (string compiler in Compilers)
        {
            try
            {
                using Process process = Process.Start(compiler, ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", Path.Combine(_folder.Path, "libcuda.so.1"), source, "-ldl"])!;
                process.WaitForExit();
                return process.ExitCode == 0 ? null : throw new InvalidOperationException($"{compiler} does not compile {source}");
            }
            catch (Win32Exception)
            {
                // Not on this machine.
            }
        }

        return $"no C compiler on this machine ({string.Join(", ", Compilers)})";
    }
}
