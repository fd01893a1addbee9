using System.Text.Json.Nodes;
using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests.Checkpoints;

/// <summary>Risk: a checkpoint that is damaged or at odds with itself loads and writes nonsense, or ends in a stack trace.</summary>
public class CheckpointRefusalTests
{
    private const string Index = "model.safetensors.index.json";
    private const string First = "model-00001-of-00002.safetensors";
    private const string Second = "model-00002-of-00002.safetensors";

    [Fact]
    public void MissingFolderConfigAndModelAreTold()
    {
        using var folder = new TemporaryFolder();
        AssertLine(folder.File("none"), "no such folder");
        AssertLine(folder.Path, "config.json: no such file");
        folder.Write("config.json", File.ReadAllText(Path.Combine(Fixture.Reference("tiny-single"), "config.json")));
        AssertLine(folder.Path, "no model here");
        folder.Write("other.safetensors", SafetensorsBuilder.Safetensors("{}"));
        AssertLine(folder.Path, "no model here");
    }

    [Fact]
    public void TruncatedShardIsNamed()
    {
        using var folder = TemporaryFolder.CopyOf("tiny-single");
        using (FileStream stream = File.OpenWrite(folder.File(Second)))
        {
            stream.SetLength(stream.Length / 2);
        }

        AssertLine(folder.Path, Second + ": tensor ", "cut short");
    }

    [Fact]
    public void IndexNamingAMissingFileIsTold()
    {
        using var folder = TemporaryFolder.CopyOf("tiny-single");
        File.Delete(folder.File(Second));
        AssertLine(folder.Path, Index, "1 of 2 files that are not there: '" + Second);
    }

    [Theory]
    [InlineData("../model-00001-of-00002.safetensors")]
    [InlineData("/etc/model.safetensors")]
    [InlineData("sub/model.safetensors")]
    [InlineData("sub\\model.safetensors")]
    [InlineData("C:model.safetensors")]
    [InlineData("..")]
    [InlineData("")]
    [InlineData(".safetensors")]
    [InlineData("config.json")]
    [InlineData("model\u0000.safetensors")]
    public void IndexNamingAnotherPlaceIsRefused(string file)
    {
        using var folder = TemporaryFolder.CopyOf("tiny-single");
        folder.EditJson(Index, index => index["weight_map"]!["lm_head.weight"] = file);
        AssertLine(folder.Path, Index, "in the same folder");
    }

    [Theory]
    [InlineData("{}", "weight_map is missing")]
    [InlineData("{\"weight_map\":{}}", "weight_map is empty")]
    [InlineData("{\"weight_map\":[]}", "not a JSON object")]
    [InlineData("{\"weight_map\":{\"a\":1}}", "no file name for tensor 'a'")]
    [InlineData("{\"weight_map\":{\"a\":\"x.safetensors\",\"a\":\"x.safetensors\"}}", "'a' twice")]
    [InlineData("{\"weight_map\":{\"a\":\"x.safetensors\"},\"weight_map\":{}}", "weight_map is there twice")]
    [InlineData("[]", "not a JSON object")]
    [InlineData("{", "not valid JSON")]
    [InlineData("", "empty")]
    public void BrokenIndexIsTold(string index, string expected)
    {
        using var folder = TemporaryFolder.CopyOf("tiny-single");
        folder.Write(Index, index);
        AssertLine(folder.Path, Index, expected);
    }

    [Fact]
    public void IndexAndFilesAtOddsAreTold()
    {
        using var folder = TemporaryFolder.CopyOf("tiny-single");
        folder.EditJson(Index, index =>
        {
            index["weight_map"]!["lm_head.weight"] = First;
            index["weight_map"]!["nowhere"] = First;
            index["weight_map"]!.AsObject().Remove("backbone.out_norm.weight");
        });
        AssertLine(folder.Path, Index, "disagree on 3 tensors", "'lm_head.weight' is not in " + First, "'nowhere' is not in", "'backbone.out_norm.weight' of " + First + " is not in the index");
    }

    [Fact]
    public void TensorInTwoShardsIsTold()
    {
        using var folder = TemporaryFolder.CopyOf("tiny-single");
        File.Copy(folder.File(First), folder.File(Second), overwrite: true);
        AssertLine(folder.Path, Second + ": tensor ", "is in " + First + " too");
    }

    [Fact]
    public void MissingNumberedShardIsTold()
    {
        using var folder = TemporaryFolder.CopyOf("tiny-single");
        File.Delete(folder.File(Index));
        File.Delete(folder.File(First));
        AssertLine(folder.Path, "1 of 2 shards missing: " + First);
        File.Move(folder.File(Second), folder.File("model_2.safetensors"));
        AssertLine(folder.Path, "2 of 3 shards missing: model_0.safetensors; model_1.safetensors");
        folder.Write("model-00001-of-00003.safetensors", "x");
        AssertLine(folder.Path, "more than one checkpoint");
    }

    /// <summary>Every tensor that does not fit counts, five are shown, each with what is wrong.</summary>
    [Fact]
    public void MissingExtraAndMisshapenTensorsAreCountedInOneLine()
    {
        using var folder = TemporaryFolder.CopyOf("tiny-wide-bf16");
        Rewrite(folder, "model.safetensors", tensor => tensor.Name switch
        {
            "backbone.out_norm.weight" => null,
            "backbone.embeddings.weight" => tensor with { Shape = [tensor.Shape[1], tensor.Shape[0]] },
            "lm_head.weight" => tensor with { Name = "lm_tail.weight" },
            "backbone.blocks.1.norm_ffn.weight" => tensor with { Shape = [1, tensor.Shape[0]] },
            _ => tensor,
        });
        AssertLine(
            folder.Path,
            "5 tensors do not fit config.json (2 missing, 2 of another shape or dtype, 1 not expected)",
            "'backbone.out_norm.weight' is missing; 'lm_head.weight' is missing",
            "'backbone.embeddings.weight' in model.safetensors is [96, 200], expected [200, 96] = [vocab_size, hidden_size]",
            "is [1, 96], expected [96] = [hidden_size]",
            "'lm_tail.weight' in model.safetensors is not part of the model");
    }

    [Theory]
    [InlineData("vocab_size", 161, "[160, 64], expected [161, 64] = [vocab_size, hidden_size]")]
    [InlineData("num_heads", 4, "[4, 64] = [num_heads, hidden_size]")]
    [InlineData("qk_dim_factor", 1.0, "expected [64, 64] = [hidden_size * qk_dim_factor, hidden_size]")]
    [InlineData("v_dim_factor", 0.5, "expected [32, 64] = [hidden_size * v_dim_factor, hidden_size]")]
    [InlineData("ffn_proj_factor", 4.0, "hidden_size * ffn_proj_factor")]
    [InlineData("use_bias", true, "'backbone.blocks.0.norm_mlstm.bias' is missing")]
    [InlineData("add_out_norm", false, "'backbone.out_norm.weight' in model-00001-of-00002.safetensors is not part of the model")]
    [InlineData("num_blocks", 2, "num_hidden_layers is 3, but num_blocks is 2")]
    public void ConfigAtOddsWithTensorsIsTold(string key, object value, string expected)
    {
        using var folder = TemporaryFolder.CopyOf("tiny-single");
        folder.EditJson("config.json", config => config[key] = JsonValue.Create(value));
        AssertLine(folder.Path, expected);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void NumberOfBlocksIsChecked(int blocks)
    {
        using var folder = TemporaryFolder.CopyOf("tiny-single");
        folder.EditJson("config.json", config =>
        {
            config["num_hidden_layers"] = blocks;
            config["num_blocks"] = blocks;
        });
        AssertLine(folder.Path, $"config.json says num_hidden_layers {blocks}, but the tensors are of 3 blocks");
    }

    [Fact]
    public void TensorsOfAnotherModelAreTold()
    {
        using var folder = TemporaryFolder.CopyOf("tiny-wide-bf16");
        Rewrite(folder, "model.safetensors", tensor => tensor with { Name = "model." + tensor.Name });
        AssertLine(folder.Path, "none of the ", "is called backbone.blocks.0.");
    }

    [Fact]
    public void DtypeThatIsNoModelsIsTold()
    {
        using var folder = TemporaryFolder.CopyOf("tiny-wide-bf16");
        string path = folder.File("model.safetensors");
        byte[] bytes = File.ReadAllBytes(path);
        int at = bytes.AsSpan().IndexOf("\"BF16\""u8);
        "\"I16\" "u8.CopyTo(bytes.AsSpan(at));
        File.WriteAllBytes(path, bytes);
        AssertLine(folder.Path, "is I16, expected F32, BF16 or F16");
    }

    private static void AssertLine(string folder, params string[] expected)
    {
        var e = Assert.Throws<CheckpointException>(() => Checkpoint.Open(folder).Dispose());
        Assert.All(expected, text => Assert.Contains(text, e.Message, StringComparison.Ordinal));
        Assert.DoesNotContain(e.Message, char.IsControl);
    }

    private static void Rewrite(TemporaryFolder folder, string name, Func<SafetensorsTensorSpec, SafetensorsTensorSpec?> edit) =>
        CheckpointEditor.Rewrite(folder.File(name), folder.File(name), edit);
}
