using System.Text.Json.Nodes;
using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests.Checkpoints;

/// <summary>Risk: a layout or naming that exists in the wild is refused, or binds a tensor to the wrong role.</summary>
public class CheckpointLayoutTests
{
    private const string Index = "model.safetensors.index.json";
    private const string First = "model-00001-of-00002.safetensors";
    private const string Second = "model-00002-of-00002.safetensors";

    private static readonly string Expected = Digest(Fixture.Reference("tiny-single"));

    [Fact]
    public void NumberedShardsWithoutIndex()
    {
        using var folder = TemporaryFolder.CopyOf("tiny-single");
        File.Delete(folder.File(Index));
        Assert.Equal(Expected, Digest(folder.Path));
    }

    [Fact]
    public void UnderscoreShardsWithoutIndexBesideOtherSafetensors()
    {
        using var folder = TemporaryFolder.CopyOf("tiny-single");
        File.Delete(folder.File(Index));
        File.Move(folder.File(First), folder.File("model_0.safetensors"));
        File.Move(folder.File(Second), folder.File("model_1.safetensors"));
        folder.Write("adapter_model.safetensors", "not safetensors at all");
        folder.Write("model_01.safetensors", "nor this");
        folder.Write("model_x.safetensors", "nor this");
        Assert.Equal(Expected, Digest(folder.Path));
    }

    [Fact]
    public void SingleFileComesBeforeAnIndex()
    {
        using var folder = TemporaryFolder.CopyOf("tiny-wide-bf16");
        folder.Write(Index, "{}");
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.Equal([$"model.safetensors is there, so {Index} is not used"], checkpoint.Warnings);
    }

    /// <summary>The Hugging Face cache: every file of a snapshot links to ../../blobs, outside the folder.</summary>
    [Fact]
    public void LinkedShardsLoad()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("Links need a privilege on Windows.");
        }

        using var cache = new TemporaryFolder();
        string blobs = Directory.CreateDirectory(cache.File("blobs")).FullName;
        string snapshot = Directory.CreateDirectory(cache.File("snapshots/abc")).FullName;
        foreach (string name in new[] { "config.json", Index, First, Second })
        {
            string blob = Path.Combine(blobs, Convert.ToHexString(System.Text.Encoding.UTF8.GetBytes(name)));
            File.Copy(Path.Combine(Fixture.Reference("tiny-single"), name), blob);
            File.CreateSymbolicLink(Path.Combine(snapshot, name), Path.Combine("../../blobs", Path.GetFileName(blob)));
        }

        Assert.Equal(Expected, Digest(snapshot));
    }

    [Theory]
    [InlineData("official package")]
    [InlineData("older transformers")]
    [InlineData("bare backbone")]
    public void OtherNamings(string naming)
    {
        using var folder = TemporaryFolder.CopyOf("tiny-single");
        File.Delete(folder.File(Index));
        foreach (string name in new[] { First, Second })
        {
            CheckpointEditor.Rewrite(folder.File(name), folder.File(name), tensor => tensor with { Name = Rename(naming, tensor.Name) });
        }

        Assert.Equal(Expected, Digest(folder.Path));
    }

    [Theory]
    [InlineData("hidden_size", "num_hidden_layers")]
    [InlineData("embedding_dim", "num_blocks")]
    [InlineData("hidden_size", "num_blocks")]
    public void OlderAndNewerConfigKeys(string absentWidth, string absentDepth)
    {
        using var folder = TemporaryFolder.CopyOf("tiny-single");
        folder.EditJson("config.json", config =>
        {
            config.AsObject().Remove(absentWidth);
            config[absentDepth] = null;
        });
        Assert.Equal(Expected, Digest(folder.Path));
    }

    [Theory]
    [InlineData("tiny-single", "fused", WeightMode.Single)]
    [InlineData("tiny-fused-bias", "single", WeightMode.Fused)]
    public void TensorsWinOverWeightMode(string reference, string claimed, WeightMode actual)
    {
        using var folder = TemporaryFolder.CopyOf(reference);
        folder.EditJson("config.json", config => config["weight_mode"] = claimed);
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.Equal(actual, checkpoint.Config.WeightMode);
        Assert.Equal(claimed, checkpoint.RawConfig["weight_mode"].GetString());
        Assert.Contains($"weight_mode {claimed}", Assert.Single(checkpoint.Warnings), StringComparison.Ordinal);
        Assert.Equal(Digest(Fixture.Reference(reference)), CheckpointContent.Digest(checkpoint));
    }

    [Fact]
    public void TiedLmHeadMayBeAbsent()
    {
        using var folder = Tied(tensor => tensor.Name == "lm_head.weight" ? null : tensor);
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.Null(checkpoint.LmHead);
        Assert.True(checkpoint.Config.TieWordEmbeddings);
        Assert.Empty(checkpoint.Warnings);
    }

    [Fact]
    public void TiedLmHeadThatIsTheEmbeddingAgainIsNotNeeded()
    {
        using var folder = Tied(tensor => tensor);
        string model = folder.File("model.safetensors");
        byte[] bytes = File.ReadAllBytes(model);
        using (var file = SafetensorsFile.Open(model))
        {
            (SafetensorsTensor from, SafetensorsTensor to) = (file.Tensors["backbone.embeddings.weight"], file.Tensors["lm_head.weight"]);
            bytes.AsSpan((int)from.Offset, (int)from.ByteLength).CopyTo(bytes.AsSpan((int)to.Offset));
        }

        File.WriteAllBytes(model, bytes);
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.Null(checkpoint.LmHead);
        Assert.Empty(checkpoint.Warnings);
    }

    [Fact]
    public void TiedLmHeadThatDiffersIsUsedWithAWarning()
    {
        using var folder = Tied(tensor => tensor);
        using var checkpoint = Checkpoint.Open(folder.Path);
        Assert.NotNull(checkpoint.LmHead);
        Assert.False(checkpoint.Config.TieWordEmbeddings);
        Assert.Contains("tie_word_embeddings", Assert.Single(checkpoint.Warnings), StringComparison.Ordinal);
    }

    private static TemporaryFolder Tied(Func<SafetensorsTensorSpec, SafetensorsTensorSpec?> edit)
    {
        var folder = TemporaryFolder.CopyOf("tiny-wide-bf16");
        folder.EditJson("config.json", config => config["tie_word_embeddings"] = JsonValue.Create(true));
        CheckpointEditor.Rewrite(folder.File("model.safetensors"), folder.File("model.safetensors"), edit);
        return folder;
    }

    private static string Rename(string naming, string name) => naming switch
    {
        "official package" => name.Replace("backbone.embeddings.", "embedding.", StringComparison.Ordinal),
        "older transformers" => name.Replace("mlstm_layer.q.", "mlstm_layer.query.", StringComparison.Ordinal)
            .Replace("mlstm_layer.k.", "mlstm_layer.key.", StringComparison.Ordinal)
            .Replace("mlstm_layer.v.", "mlstm_layer.value.", StringComparison.Ordinal),
        "bare backbone" => name.Replace("backbone.", "", StringComparison.Ordinal),
        _ => throw new ArgumentOutOfRangeException(nameof(naming)),
    };

    private static string Digest(string folder)
    {
        using var checkpoint = Checkpoint.Open(folder);
        Assert.Empty(checkpoint.Warnings);
        return CheckpointContent.Digest(checkpoint);
    }
}
