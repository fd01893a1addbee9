using Xunit;

namespace Xlstm.Cli.Tests.Cuda;

/// <summary>
/// What can go wrong with a GPU, on a stand-in for the driver: every fault is one clear line and exit code 1, no fault hangs the
/// process, and none leaves anything of the driver's allocated.
/// </summary>
public class FaultTests(FakeDriver driver) : IClassFixture<FakeDriver>
{
    private static readonly string[] Generate = ["generate", "Once", "-n", "20", "--greedy", "--ignore-eos"];

    /// <summary>The stand-in serves a run that nothing goes wrong in; else the other tests would say nothing.</summary>
    [Theory]
    [InlineData("float32", "float32", 90)]
    [InlineData("bfloat16", "float32", 90)]
    [InlineData("bfloat16", "bfloat16", 90)]
    [InlineData("int8", "float32", 90)]
    [InlineData("int4", "bfloat16", 90)]
    [InlineData("int4", "float32", 80)]
    public async Task ARunLeavesNothingAllocated(string weights, string state, int capability)
    {
        ToolResult result = await driver.RunAsync($"capability={capability}", [.. Generate, "--device", "cuda", "--weights", weights, "--state", state, "--verbose"]);
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("Fake GPU 0", result.Error, StringComparison.Ordinal);
    }

    /// <summary>Prompts of several lengths, then a batch of their tokens that shrinks as they end.</summary>
    [Theory]
    [InlineData("bfloat16", "cuda")]
    [InlineData("int4", "cuda")]
    [InlineData("bfloat16", "cuda:0,1")]
    [InlineData("int8", "cuda:1,0")]
    public async Task ABatchLeavesNothingAllocated(string weights, string device)
    {
        using var folder = new TemporaryFolder();
        string prompts = folder.Write("prompts.jsonl", string.Join('\n', Enumerable.Range(1, 7).Select(n => $$"""{"prompt": "{{string.Concat(Enumerable.Repeat("Once ", n))}}", "max_new_tokens": {{n}}}""")));
        ToolResult result = await driver.RunAsync("devices=2", "generate", "--prompts", prompts, "--greedy", "--ignore-eos", "--batch", "5", "--device", device, "--weights", weights);
        Assert.Equal(0, result.ExitCode);
        Assert.Equal(7, result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
    }

    [Theory]
    [InlineData("cuda:0,1", "cuda:0, Fake GPU 0 (5 blocks) + cuda:1, Fake GPU 1 (5 blocks)", 1024)]
    [InlineData("cuda:2,0,1", "cuda:2, Fake GPU 2 (3 blocks) + cuda:0, Fake GPU 0 (4 blocks) + cuda:1, Fake GPU 1 (3 blocks)", 1024)]
    [InlineData("auto", "cuda:0, Fake GPU 0; ", 1024)]
    [InlineData("auto", " blocks) + cuda:2, Fake GPU 2 (", 203)]
    public async Task SeveralGpusShareAModel(string device, string expected, int memory)
    {
        ToolResult result = await driver.RunAsync($"devices=3,memory={memory}", [.. Generate, "--device", device, "--verbose"]);
        Assert.Equal(0, result.ExitCode);
        Assert.Contains(expected, result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("driver=11040", "cuda", "the NVIDIA driver is for CUDA 11.4, but 11.8 (driver 520) or later is needed")]
    [InlineData("devices=0", "cuda", "the NVIDIA driver finds no GPU")]
    [InlineData("capability=75", "cuda", "Fake GPU 0 has compute capability 7.5, but 8.0 (Ampere, 2020) or later is needed")]
    [InlineData("devices=2", "cuda:2", "no device cuda:2: there are 2 GPUs, counted from 0")]
    [InlineData("memory=10", "cuda", "out of memory: the model, one session and the workspace need ")]
    [InlineData("devices=2", "cuda:1,1", "device is cuda:1,1, which names cuda:1 twice")]
    [InlineData("devices=2", "cuda:0,", "device is cuda:0,, expected auto, cpu, cuda, cuda:N or cuda:N,M,...")]
    [InlineData("devices=11", "cuda:0,1,2,3,4,5,6,7,8,9,10", "has 10 blocks, too few for 11 GPUs")]
    [InlineData("devices=2,memory=10", "cuda:0,1", "Fake GPU 0 + Fake GPU 1: out of memory: the model, one session and the workspace need ")]
    [InlineData("devices=2,fail=cuMemcpyPeerAsync:719:3", "cuda:0,1", "the GPU is lost to this process")]
    [InlineData("devices=2,fail=cuMemAlloc_v2:2:9", "cuda:0,1", "out of memory: ")]
    [InlineData("fail=cuMemAlloc_v2:2:0", "cuda", "out of memory: the model ")]
    [InlineData("fail=cuMemAlloc_v2:2:3", "cuda", "out of memory: ")]
    [InlineData("fail=cuMemHostAlloc:2:1", "cuda", "pinning ")]
    [InlineData("fail=cuModuleLoadDataEx:218:2", "cuda", "the driver cannot compile the kernels ")]
    [InlineData("fail=cuDevicePrimaryCtxRetain:999:0", "cuda", "opening Fake GPU 0 failed")]
    [InlineData("fail=cuStreamSynchronize:719:0", "cuda", "the GPU is lost to this process")]
    [InlineData("fail=cuStreamSynchronize:719:8", "cuda", "the GPU is lost to this process")]
    [InlineData("fail=cuStreamSynchronize:719:14", "cuda", "the GPU is lost to this process")]
    [InlineData("fail=cuGraphLaunch:700:3", "cuda", "the GPU is lost to this process")]
    [InlineData("fail=cuLaunchKernelEx:719:5", "cuda", "the GPU is lost to this process")]
    [InlineData("fail=cuMemcpyDtoHAsync_v2:719:2", "cuda", "the GPU is lost to this process")]
    public async Task AFaultIsOneLine(string settings, string device, string expected)
    {
        (ToolResult result, string line) = await driver.FailAsync(expected, settings, [.. Generate, "--device", device]);
        Assert.Equal(line, result.ErrorLines[^1]);
    }

    [Fact]
    public async Task AFaultAmidTheTextHasALineOfItsOwn()
    {
        (ToolResult result, string line) = await driver.FailAsync("the GPU is lost to this process", "fail=cuStreamSynchronize:719:14", [.. Generate, "--device", "cuda"]);
        Assert.NotEmpty(result.Output);
        Assert.EndsWith("\n\n" + line + "\n", "\n" + result.Error.ReplaceLineEndings("\n"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task TheCompilersLogIsShownWhenAskedFor()
    {
        string[] arguments = [.. Generate, "--device", "cuda"];
        Assert.DoesNotContain("a fault on purpose\n", (await driver.RunAsync("fail=cuModuleLoadDataEx:222:0", arguments)).Error, StringComparison.Ordinal);
        ToolResult told = await driver.RunAsync("fail=cuModuleLoadDataEx:222:0", [.. arguments, "--verbose"]);
        Assert.Contains("ptxas fatal: a fault on purpose", told.Error, StringComparison.Ordinal);
    }

    /// <summary>The default device is a GPU only where one can run the model.</summary>
    [Theory]
    [InlineData("devices=0")]
    [InlineData("driver=11040")]
    [InlineData("capability=75")]
    [InlineData("memory=10")]
    [InlineData("fail=cuInit:999:0")]
    public async Task TheCpuGoesOn(string settings)
    {
        ToolResult result = await driver.RunAsync(settings, [.. Generate, "--verbose"]);
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("CPU, ", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task DevicesAreListedWithWhatIsWrongWithThem()
    {
        ToolResult result = await driver.RunAsync("devices=2,capability=75", "devices");
        Assert.Equal(0, result.ExitCode);
        string[] lines = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(3, lines.Length);
        Assert.StartsWith("cpu ", lines[0], StringComparison.Ordinal);
        Assert.StartsWith("cuda:1   Fake GPU 1, 1.07 GB, compute capability 7.5; not used: ", lines[2], StringComparison.Ordinal);
    }
}
