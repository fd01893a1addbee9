using System.Text.Json;
using Xunit;

namespace Xlstm.Cli.Tests.Cuda;

/// <summary>
/// Risk: <c>bench</c> on a GPU reports the CPU's name, holds the GPU's rates against the CPU's memory, or counts other bytes than a
/// step moves. The stand-in for the driver says that whatever is timed took a millisecond.
/// </summary>
public class BenchTests(FakeDriver driver) : IClassFixture<FakeDriver>
{
    private const int Buffer = 16 << 20;
    private static readonly string[] Bench = ["bench", "-p", "4", "-g", "2", "-n", "1", "--buffer", "16"];

    [Theory]
    [InlineData("bfloat16", "float32")]
    [InlineData("int4", "bfloat16")]
    public async Task SharesAreOfTheGpusCopy(string weights, string state)
    {
        ToolResult result = await driver.RunAsync("devices=2", [.. Bench, "--device", "cuda:1", "--weights", weights, "--state", state, "-b", "1,3", "--threads", "1,2", "-o", "json"]);
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("--threads: only loading uses them", Assert.Single(result.ErrorLines, line => line.StartsWith("xlstm: warning: ", StringComparison.Ordinal)), StringComparison.Ordinal);
        using var json = JsonDocument.Parse(result.Output);
        var root = json.RootElement;
        Assert.Equal("cuda:1, Fake GPU 1", Assert.Single(root.GetProperty("gpus").EnumerateArray()).GetString());
        var run = Assert.Single(root.GetProperty("runs").EnumerateArray());
        Assert.Equal("cuda:1, Fake GPU 1", run.GetProperty("device").GetString());
        Assert.Equal(weights, run.GetProperty("weights").GetString());
        Assert.Equal(JsonValueKind.Null, run.GetProperty("threads").ValueKind);

        // A pass reads and writes the buffer in a millisecond.
        double copy = Number(run, "dram_bytes_per_second");
        Assert.Equal(1.0, copy / (2.0 * Buffer * 1000), 1e-6);
        Assert.Equal(copy, Number(run, "dram_median_bytes_per_second"));
        Assert.Equal(Buffer, Number(run, "dram_buffer_bytes"));

        // A step reads all weights but the embeddings ([4096, 256]; with int4 they are int8), and reads and writes the state without the logits that lie with it.
        var tests = run.GetProperty("tests").EnumerateArray().ToList();
        Assert.Equal(["pp4", "tg2", "tg2"], tests.Select(test => test.GetProperty("test").GetString()));
        Assert.Equal(JsonValueKind.Null, tests[0].GetProperty("dram_share").ValueKind);
        double embeddings = 4096 * 256 * (weights == "int4" ? 1.0625 : 2);
        foreach (var test in tests.Skip(1))
        {
            double steps = Number(test, "median_tokens_per_second") / Number(test, "batch");
            Assert.Equal(Number(run, "weight_bytes") - embeddings, Number(test, "weight_bytes_per_second") / steps, 0.5);
            Assert.Equal(Number(root, "state_bytes") - (4096 * sizeof(float)), Number(test, "state_bytes_per_second") / steps / 2 / Number(test, "batch"), 0.5);
            Assert.Equal((Number(test, "weight_bytes_per_second") + Number(test, "state_bytes_per_second")) / copy, Number(test, "dram_share"), 1e-6);
        }
    }

    [Fact]
    public async Task TablesNameTheGpu()
    {
        ToolResult markdown = await driver.RunAsync("devices=1", [.. Bench, "--device", "cuda"]), csv = await driver.RunAsync("devices=1", [.. Bench, "-o", "csv"]);
        Assert.StartsWith("- cuda:0, Fake GPU 0; ", markdown.Output, StringComparison.Ordinal);
        foreach (string part in (string[])["| of copy |", "| copy GB/s |", "| bfloat16 |  | tg2 |", "| bfloat16 |  | cuda:0, Fake GPU 0 |", "| 33.6 | 33.6 | 2 x 16.8 MB"])
        {
            Assert.Contains(part, markdown.Output, StringComparison.Ordinal);
        }

        Assert.DoesNotContain("DRAM", markdown.Output, StringComparison.Ordinal);
        Assert.Contains(",bfloat16,,\"cuda:0, Fake GPU 0\",", csv.Output, StringComparison.Ordinal);
    }

    /// <summary>Several GPUs run one after the other: their rates have no one ceiling.</summary>
    [Fact]
    public async Task SeveralGpusHaveNoShare()
    {
        ToolResult result = await driver.RunAsync("devices=2", [.. Bench, "--device", "cuda:0,1", "-o", "json"]);
        Assert.Equal(0, result.ExitCode);
        using var json = JsonDocument.Parse(result.Output);
        var run = json.RootElement.GetProperty("runs")[0];
        Assert.StartsWith("cuda:0, Fake GPU 0 (", run.GetProperty("device").GetString(), StringComparison.Ordinal);
        Assert.Equal(JsonValueKind.Null, run.GetProperty("dram_bytes_per_second").ValueKind);
        Assert.Equal(JsonValueKind.Null, run.GetProperty("tests")[1].GetProperty("dram_share").ValueKind);
        Assert.True(Number(run.GetProperty("tests")[1], "weight_bytes_per_second") > 0);
    }

    /// <summary>The default is a GPU where one can, format by format; what it passes over it says, and each run is held against its own memory.</summary>
    [Fact]
    public async Task AutoTakesTheGpuForWhatFitsThere()
    {
        ToolResult result = await driver.RunAsync("memory=215", [.. Bench, "--weights", "float32,int4"]);
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("runs on the CPU: Fake GPU 0: out of memory", Assert.Single(result.ErrorLines, line => line.StartsWith("xlstm: ", StringComparison.Ordinal)), StringComparison.Ordinal);
        foreach (string part in (string[])["- cuda:0, Fake GPU 0; ", "| of DRAM or copy |", "| DRAM read or copy GB/s |", "| CPU, ", "| int4 |  | cuda:0, Fake GPU 0 |"])
        {
            Assert.Contains(part, result.Output, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("devices=0", "cuda", "no CUDA device: the NVIDIA driver finds no GPU")]
    [InlineData("devices=1", "cuda:1", "no device cuda:1: there is 1 GPU, counted from 0")]
    [InlineData("devices=1", "gpu", "device is gpu, expected auto, cpu, cuda")]
    [InlineData("fail=cuEventElapsedTime:719:0", "cuda", "the GPU is lost to this process")]
    [InlineData("fail=cuMemcpyDtoDAsync_v2:719:0", "cuda", "the GPU is lost to this process")]
    public async Task AFaultIsOneLine(string settings, string device, string expected)
    {
        (ToolResult result, _) = await driver.FailAsync(expected, settings, [.. Bench, "--device", device]);
        Assert.Empty(result.Output);
    }

    private static double Number(JsonElement element, string name) => element.GetProperty(name).GetDouble();
}
