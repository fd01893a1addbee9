using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using Xunit;

namespace Xlstm.Cli.Tests;

/// <summary>Risk: inspect, logits and synthesize say or write what is not so.</summary>
public class CheckpointCommandTests
{
    private const string TinyConfig = """
        { "hidden_size": 64, "num_hidden_layers": 2, "num_heads": 2, "vocab_size": 96, "gate_soft_cap": 15.0, "output_logit_soft_cap": 30.0 }
        """;

    [Fact]
    public async Task InspectTellsTheDemo()
    {
        var result = await ToolProcess.RunAsync("inspect", "--json");
        Assert.Equal(0, result.ExitCode);
        Assert.Empty(result.Error);
        using var json = JsonDocument.Parse(result.Output);
        var root = json.RootElement;
        Assert.Equal(10_153_808, root.GetProperty("parameters").GetInt64());
        Assert.Equal(2 * 10_153_808, root.GetProperty("dtypes").GetProperty("bfloat16").GetProperty("bytes").GetInt64());
        Assert.Equal(6, root.GetProperty("shards").GetArrayLength());
        Assert.Equal(10 * 4 * ((32 * 64) + 32 + 1) * 4, root.GetProperty("state_bytes").GetInt64());
        Assert.InRange(root.GetProperty("memory").GetProperty("float32").GetProperty("weight_bytes").GetInt64(), 4 * 10_153_808, 4 * 10_300_000);
        Assert.Equal((4096, 0, 0), (root.GetProperty("tokenizer").GetProperty("tokens").GetInt32(), root.GetProperty("tokenizer").GetProperty("bos_token_id").GetInt32(), root.GetProperty("tokenizer").GetProperty("eos_token_id").GetInt32()));
        Assert.Equal(256, root.GetProperty("config").GetProperty("embedding_dim").GetInt32());
        Assert.Empty(root.GetProperty("warnings").EnumerateArray());
    }

    [Fact]
    public async Task InspectForPeopleNamesTheSameThings()
    {
        var result = await ToolProcess.RunAsync("inspect");
        foreach (string fact in (string[])["10,153,808", "model-00006-of-00006.safetensors", "bfloat16", "float32", "byte-level BPE", "gate_soft_cap = 15.0"])
        {
            Assert.Contains(fact, result.Output, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task InspectWarnsOfAnEndOfTextThatIsNone()
    {
        // xLSTM-7B's own config.json names token 2, "!", as its end of text.
        using var folder = new TemporaryFolder();
        foreach (string file in Directory.GetFiles(Repository.Demo))
        {
            File.Copy(file, folder.File(Path.GetFileName(file)));
        }

        folder.Write("config.json", File.ReadAllText(folder.File("config.json")).Replace("\"eos_token_id\": 0", "\"eos_token_id\": 2", StringComparison.Ordinal));
        var result = await ToolProcess.RunAsync("inspect", "--model", folder.Path);
        Assert.Matches("Warnings +config.json says eos_token_id 2, .*is 0", result.Output);
    }

    [Fact]
    public async Task LogitsHoldEveryPositionAndAgreeWithTheReference()
    {
        using var folder = new TemporaryFolder();
        using var reference = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Repository.Demo, "reference.json")));
        var golden = reference.RootElement.GetProperty("greedy")[0];
        int[] ids = [.. golden.GetProperty("prompt_ids").EnumerateArray().Select(id => id.GetInt32())];
        string output = folder.File("logits.safetensors");
        var result = await ToolProcess.RunAsync("logits", "--ids", string.Join(',', ids), "--weights", "float32", "--output", output);
        Assert.Equal(0, result.ExitCode);
        Assert.Empty(result.Output);
        Assert.Equal(output, Assert.Single(Directory.GetFiles(folder.Path)));

        float[] logits = ReadLogits(output, ids.Length, 4096);
        Assert.All(logits, value => Assert.InRange(value, -30, 30));
        float[] last = logits[^4096..];
        foreach (var top in golden.GetProperty("top5").EnumerateArray())
        {
            Assert.Equal(top[1].GetSingle(), last[top[0].GetInt32()], 5e-4f);
        }
    }

    [Fact]
    public async Task LogitsOfIdsFromAPipe()
    {
        using var folder = new TemporaryFolder();
        string output = folder.File("logits.safetensors");
        var result = await ToolProcess.RunAsync(ToolStart.WithInput("0\n48\n1304\n"), "logits", "--ids-file", "-", "--output", output);
        Assert.Equal(0, result.ExitCode);
        Assert.Equal(3 * 4096, ReadLogits(output, 3, 4096).Length);
    }

    [Fact]
    public async Task ASynthesizedCheckpointLoadsAndRuns()
    {
        using var folder = new TemporaryFolder();
        string model = folder.File("model");
        var made = await ToolProcess.RunAsync("synthesize", "--like", folder.Write("config.json", TinyConfig), "--dtype", "float16", "--shards", "3", "--seed", "4", "--output", model);
        Assert.Equal(0, made.ExitCode);
        Assert.Equal(3, Directory.GetFiles(model, "*.safetensors").Length);

        var inspected = await ToolProcess.RunAsync("inspect", "--json", "--model", model);
        using var report = JsonDocument.Parse(inspected.Output);
        Assert.True(report.RootElement.GetProperty("dtypes").TryGetProperty("float16", out _));
        Assert.Equal(JsonValueKind.Null, report.RootElement.GetProperty("tokenizer").ValueKind);

        // Without a tokenizer it speaks in ids.
        var generated = await ToolProcess.RunAsync("generate", "--model", model, "--prompt-ids", "0,1,2", "-n", "5", "--ignore-eos");
        Assert.Equal(0, generated.ExitCode);
        Assert.Equal(5, generated.Output.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse).Count(id => id is >= 0 and < 96));

        var text = await ToolProcess.RunAsync("generate", "--model", model, "Once");
        Assert.Equal(1, text.ExitCode);
        Assert.Contains("--prompt-ids", text.ErrorLines[^1], StringComparison.Ordinal);

        var again = await ToolProcess.RunAsync("synthesize", "--like", model, "--output", model);
        Assert.Equal(1, again.ExitCode);
        Assert.Contains("not empty", Assert.Single(again.ErrorLines), StringComparison.Ordinal);
    }

    private static float[] ReadLogits(string path, int rows, int columns)
    {
        byte[] file = File.ReadAllBytes(path);
        int headerLength = (int)BinaryPrimitives.ReadUInt64LittleEndian(file);
        using var header = JsonDocument.Parse(file.AsMemory(8, headerLength));
        var tensor = header.RootElement.GetProperty("logits");
        Assert.Equal("F32", tensor.GetProperty("dtype").GetString());
        Assert.Equal([rows, columns], tensor.GetProperty("shape").EnumerateArray().Select(size => size.GetInt32()));
        Assert.Equal([0, 4L * rows * columns], tensor.GetProperty("data_offsets").EnumerateArray().Select(offset => offset.GetInt64()));
        return MemoryMarshal.Cast<byte, float>(file.AsSpan(8 + headerLength)).ToArray();
    }
}
