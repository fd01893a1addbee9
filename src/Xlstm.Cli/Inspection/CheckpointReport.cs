using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Xlstm.Checkpoints;
using Xlstm.Cli.Arguments;

namespace Xlstm.Cli.Inspection;

/// <summary>What <c>xlstm inspect</c> tells about a checkpoint, from its headers and its tokenizer; no weight is read.</summary>
internal sealed record CheckpointReport
{
    public required string Model { get; init; }

    public required long Parameters { get; init; }

    public required SizesReport Sizes { get; init; }

    public required IReadOnlyDictionary<string, DtypeReport> Dtypes { get; init; }

    public required IReadOnlyList<ShardReport> Shards { get; init; }

    /// <summary>Bytes of one session's recurrent state.</summary>
    public required long StateBytes { get; init; }

    /// <summary>By weight format.</summary>
    public required IReadOnlyDictionary<string, MemoryReport> Memory { get; init; }

    /// <summary>The weight format of a packed folder; null for other checkpoints.</summary>
    public required string? Packed { get; init; }

    /// <summary>Null without tokenizer.json.</summary>
    public required TokenizerReport? Tokenizer { get; init; }

    public required IReadOnlyList<string> Warnings { get; init; }

    /// <summary>config.json as it stands.</summary>
    public required IReadOnlyDictionary<string, JsonElement> Config { get; init; }

    /// <exception cref="CheckpointException">The checkpoint or its tokenizer is missing, damaged or contradictory.</exception>
    public static CheckpointReport Of(Checkpoint checkpoint)
    {
        var config = checkpoint.Config;
        var tensors = StoredTensors.Of(checkpoint);
        var tokenizer = File.Exists(Path.Combine(checkpoint.Folder, "tokenizer.json")) ? Xlstm.Tokenizer.Load(checkpoint.Folder) : null;
        return new CheckpointReport
        {
            Model = checkpoint.Folder,
            Parameters = tensors.Sum(Elements),
            Sizes = SizesReport.Of(config),
            Packed = checkpoint.PackedFormat is { } packed ? packed.Name() : null,
            Dtypes = checkpoint.PackedFormat is not null ? [] : tensors.GroupBy(t => t.ElementType).OrderBy(g => g.Key).ToDictionary(
                g => FormatNames<ElementType>.Name(g.Key),
                g => new DtypeReport(g.Select(t => t.Name).Distinct().Count(), g.Sum(Elements), g.Sum(t => Elements(t) * t.ElementSize))),
            Shards = [.. checkpoint.Shards.Select(s => new ShardReport(s.Name, s.TensorBytes))],
            StateBytes = MemoryEstimate.For(config, WeightFormat.Float32).StateBytes,
            Memory = Enum.GetValues<WeightFormat>().ToDictionary(FormatNames<WeightFormat>.Name, format => MemoryReport.Of(MemoryEstimate.For(config, format))),
            Tokenizer = tokenizer is null ? null : TokenizerReport.Of(tokenizer, checkpoint),
            Warnings = XlstmModel.WarningsOf(checkpoint, tokenizer),
            Config = checkpoint.RawConfig,
        };
    }

    public string ToJson() => JsonSerializer.Serialize(this, ReportJson.Relaxed.CheckpointReport);

    private static long Elements(CheckpointTensor tensor) => (long)tensor.Rows * tensor.Cols;
}

/// <summary>The sizes that follow from config.json.</summary>
internal sealed record SizesReport(int EmbeddingDim, int NumBlocks, int NumHeads, int QkHeadDim, int VHeadDim, int FfnDim, int VocabSize)
{
    public static SizesReport Of(XlstmConfig config) =>
        new(config.EmbeddingDim, config.NumBlocks, config.NumHeads, config.QkHeadDim, config.VHeadDim, config.FfnDim, config.VocabSize);
}

internal sealed record DtypeReport(int Tensors, long Parameters, long Bytes);

internal sealed record ShardReport(string Name, long Bytes);

/// <summary>What one session on this model takes.</summary>
internal sealed record MemoryReport(long WeightBytes, long WorkspaceBytes, long TotalBytes)
{
    public static MemoryReport Of(MemoryEstimate estimate) => new(estimate.WeightBytes, estimate.WorkspaceBytes, estimate.TotalBytes);
}

/// <summary>Facts about tokenizer.json.</summary>
internal sealed record TokenizerReport
{
    public string Kind { get; init; } = "byte-level BPE";

    public required int Tokens { get; init; }

    public required int MaxId { get; init; }

    public required int? BosTokenId { get; init; }

    public required int? EosTokenId { get; init; }

    /// <summary>What config.json says the end of text is, which is not obeyed.</summary>
    public required int? ConfigEosTokenId { get; init; }

    /// <summary>Rows of the vocabulary without a token: never sampled.</summary>
    public required int PaddingRows { get; init; }

    public static TokenizerReport Of(Tokenizer tokenizer, Checkpoint checkpoint)
    {
        int? claimed = checkpoint.RawConfig.TryGetValue("eos_token_id", out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int id) ? id : null;
        return new TokenizerReport
        {
            Tokens = tokenizer.VocabularySize,
            MaxId = tokenizer.MaxId,
            BosTokenId = tokenizer.BeginOfText,
            EosTokenId = tokenizer.EndOfText,
            ConfigEosTokenId = claimed,
            PaddingRows = Enumerable.Range(0, checkpoint.Config.VocabSize).Count(row => !tokenizer.HasToken(row)),
        };
    }
}

[JsonSerializable(typeof(CheckpointReport))]
internal sealed partial class ReportJson : JsonSerializerContext
{
    public static ReportJson Relaxed { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}
