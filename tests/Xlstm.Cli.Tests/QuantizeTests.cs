using System.Text.Json;
using Xunit;

namespace Xlstm.Cli.Tests;

/// <summary>Risk: a packed folder generates another text than its checkpoint held that way, or a failed run leaves half a folder or a success behind.</summary>
public class QuantizeTests
{
    private static readonly string[] Companions = ["config.json", "generation_config.json", "packed.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"];

    [Theory]
    [InlineData("bfloat16")]
    [InlineData("int8")]
    [InlineData("int4")]
    [InlineData("int4", "--mix")]
    public async Task APackedFolderGeneratesWhatItsCheckpointDoes(string weights, params string[] mix)
    {
        using var folder = new TemporaryFolder();
        string packed = folder.File("packed");
        var made = await ToolProcess.RunAsync(["quantize", "--weights", weights, .. mix, "--output", packed]);
        Assert.Equal(0, made.ExitCode);
        Assert.Empty(made.Output);
        Assert.StartsWith($"{packed}: 10.2 M parameters as {weights}, ", made.ErrorLines[^1], StringComparison.Ordinal);
        Assert.Equal(Companions, Names(packed));

        Assert.Equal(await GreedyIdsAsync(["--weights", weights, .. mix]), await GreedyIdsAsync(["--model", packed]));
        using var report = await InspectAsync(packed);
        Assert.Equal(weights, report.RootElement.GetProperty("packed").GetString());
        Assert.Equal("packed.safetensors", Assert.Single(report.RootElement.GetProperty("shards").EnumerateArray()).GetProperty("name").GetString());
        var people = await ToolProcess.RunAsync("inspect", "--model", packed);
        Assert.Contains($"packed {weights}, mapped as it is", people.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task CalibrationHasItsTextRead()
    {
        using var folder = new TemporaryFolder();
        string plain = folder.File("plain"), calibrated = folder.File("calibrated");
        string text = folder.Write("text.txt", string.Concat(Enumerable.Repeat("The rain had not stopped for three days, and the old house stood alone upon the moor.\n", 20)));
        Assert.Equal(0, (await ToolProcess.RunAsync("quantize", "--weights", "int4", "--output", plain)).ExitCode);
        Assert.Equal(0, (await ToolProcess.RunAsync("quantize", "--weights", "int4", "--calibrate", text, "--output", calibrated)).ExitCode);
        byte[] first = File.ReadAllBytes(Path.Combine(plain, "packed.safetensors")), second = File.ReadAllBytes(Path.Combine(calibrated, "packed.safetensors"));
        Assert.Equal(first.Length, second.Length);
        Assert.NotEqual(first, second);
        Assert.Equal(24, (await GreedyIdsAsync(["--model", calibrated])).Length);
    }

    [Theory]
    [InlineData("--mix goes with --weights int4", "--weights", "int8", "--mix", "--output", "x")]
    [InlineData("--calibrate goes with --weights int4", "--weights", "int8", "--calibrate", "README.md", "--output", "x")]
    [InlineData("--weights int5: expected float32, bfloat16, int8 or int4", "--weights", "int5", "--output", "x")]
    [InlineData("--output", "--weights", "int8")]
    [InlineData("--weights", "--output", "x")]
    public async Task WrongUsageIsOneLineAHintAndExitCode2(string says, params string[] arguments)
    {
        using var folder = new TemporaryFolder();
        var result = await ToolProcess.RunAsync(new ToolStart { Folder = folder.Path }, ["quantize", .. arguments]);
        Assert.Equal(2, result.ExitCode);
        Assert.Empty(result.Output);
        Assert.Equal(2, result.ErrorLines.Length);
        Assert.Contains(says, result.ErrorLines[0], StringComparison.Ordinal);
        Assert.Contains("xlstm quantize --help", result.ErrorLines[1], StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public async Task WhatIsThereStaysAndIsNotPackedAgain()
    {
        using var folder = new TemporaryFolder();
        string packed = folder.File("packed");
        Assert.Equal(0, (await ToolProcess.RunAsync("quantize", "--weights", "int8", "--output", packed)).ExitCode);
        byte[] before = File.ReadAllBytes(Path.Combine(packed, "packed.safetensors"));

        await AssertFailsAsync("is not empty", "--weights", "int4", "--output", packed);
        await AssertFailsAsync("is packed as int8 already", "--model", packed, "--weights", "int4", "--output", folder.File("again"));
        await AssertFailsAsync("there is no folder", "--weights", "int4", "--output", folder.File("no/such"));
        await AssertFailsAsync("no-such-text", "--weights", "int4", "--calibrate", folder.File("no-such-text"), "--output", folder.File("again"));
        Assert.Equal(["packed"], Names(folder.Path));
        Assert.Equal(before, File.ReadAllBytes(Path.Combine(packed, "packed.safetensors")));
    }

    [Fact]
    public async Task AWeightThatIsNoNumberEndsItAndNothingStaysBehind()
    {
        using var folder = new TemporaryFolder();
        string model = Directory.CreateDirectory(folder.File("model")).FullName;
        foreach (string file in Directory.GetFiles(Repository.Demo).Where(f => Path.GetExtension(f) is ".json" or ".safetensors"))
        {
            File.Copy(file, Path.Combine(model, Path.GetFileName(file)));
        }

        // The last weight of the last shard, bfloat16. The packer has begun the folder by the time it gets there.
        string shard = Path.Combine(model, "model-00006-of-00006.safetensors");
        byte[] bytes = File.ReadAllBytes(shard);
        (bytes[^2], bytes[^1]) = (0xC0, 0x7F);
        File.WriteAllBytes(shard, bytes);
        await AssertFailsAsync("weights must be finite numbers", "--model", model, "--weights", "int8", "--output", folder.File("packed"));
        Assert.Equal(["model"], Names(folder.Path));
    }

    private static async Task AssertFailsAsync(string says, params string[] arguments)
    {
        var result = await ToolProcess.RunAsync(["quantize", .. arguments]);
        Assert.Equal(1, result.ExitCode);
        Assert.Empty(result.Output);
        string line = Assert.Single(result.ErrorLines, l => !l.StartsWith("Packing", StringComparison.Ordinal));
        Assert.StartsWith("xlstm: ", line, StringComparison.Ordinal);
        Assert.Contains(says, line, StringComparison.Ordinal);
    }

    private static async Task<int[]> GreedyIdsAsync(string[] arguments)
    {
        var result = await ToolProcess.RunAsync(["generate", "The captain looked at the", "--greedy", "-n", "24", "--ignore-eos", "--json", .. arguments]);
        Assert.Equal(0, result.ExitCode);
        using var json = JsonDocument.Parse(result.Output);
        return [.. json.RootElement.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
    }

    private static async Task<JsonDocument> InspectAsync(string folder)
    {
        var result = await ToolProcess.RunAsync("inspect", "--json", "--model", folder);
        Assert.Equal(0, result.ExitCode);
        return JsonDocument.Parse(result.Output);
    }

    private static IEnumerable<string?> Names(string folder) => Directory.GetFileSystemEntries(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal);
}
