using System.Globalization;

namespace Xlstm.Checkpoints;

/// <summary>How a checkpoint calls its tensors: Hugging Face transformers, its older versions, the official package and bare backbones differ.</summary>
/// <param name="Embeddings">Name of the embedding's weight.</param>
/// <param name="BlockPrefix">What stands before the number of a block.</param>
/// <param name="OutNorm">Name of the last norm, without <c>.weight</c>.</param>
/// <param name="Q">Last part of the name of the queries' layer.</param>
/// <param name="K">Last part of the name of the keys' layer.</param>
/// <param name="V">Last part of the name of the values' layer.</param>
internal sealed record TensorNames(string Embeddings, string BlockPrefix, string OutNorm, string Q, string K, string V)
{
    /// <summary>Name of the output matrix.</summary>
    public const string LmHead = "lm_head.weight";

    /// <summary>The fused layer of rows q | k | v | o.</summary>
    public const string FusedQkvO = "qkv_opreact";

    /// <summary>The fused layer of rows i | f.</summary>
    public const string FusedIF = "ifgate_preact";

    /// <summary>The fused layer of rows gate | up.</summary>
    public const string FusedGateUp = "proj_up_gate_z";

    private static readonly string[] EmbeddingNames = ["backbone.embeddings.weight", "embedding.weight", "embeddings.weight", "backbone.embedding.weight"];
    private static readonly string[] FusedLayers = [$".mlstm_layer.{FusedQkvO}.", $".mlstm_layer.{FusedIF}.", $".ffn.{FusedGateUp}."];
    private static readonly string[] SingleLayers =
        [".mlstm_layer.q.", ".mlstm_layer.query.", ".mlstm_layer.ogate_preact.", ".mlstm_layer.igate_preact.", ".ffn.proj_up_gate.", ".ffn.proj_up."];

    /// <summary>The names of Hugging Face transformers.</summary>
    public static TensorNames HuggingFace { get; } = new(EmbeddingNames[0], "backbone.blocks.", "backbone.out_norm", "q", "k", "v");

    /// <summary>What stands before the names inside a block.</summary>
    public string Block(int block) => string.Create(CultureInfo.InvariantCulture, $"{BlockPrefix}{block}.");

    /// <summary>The names in use among <paramref name="stored"/>; the Hugging Face name where nothing tells.</summary>
    public static TensorNames Detect(IReadOnlyCollection<string> stored)
    {
        var names = stored as IReadOnlySet<string> ?? stored.ToHashSet(StringComparer.Ordinal);
        TensorNames standard = HuggingFace;
        bool bareBlocks = stored.Any(n => n.StartsWith("blocks.", StringComparison.Ordinal))
            && !stored.Any(n => n.StartsWith(standard.BlockPrefix, StringComparison.Ordinal));
        bool bareOutNorm = names.Contains("out_norm.weight") && !names.Contains(standard.OutNorm + ".weight");
        bool longNames = stored.Any(n => n.Contains(".mlstm_layer.query.", StringComparison.Ordinal))
            && !stored.Any(n => n.Contains(".mlstm_layer.q.", StringComparison.Ordinal));
        return new TensorNames(
            EmbeddingNames.FirstOrDefault(names.Contains) ?? standard.Embeddings,
            bareBlocks ? "blocks." : standard.BlockPrefix,
            bareOutNorm ? "out_norm" : standard.OutNorm,
            longNames ? "query" : standard.Q,
            longNames ? "key" : standard.K,
            longNames ? "value" : standard.V);
    }

    /// <summary>Whether the tensors are fused; null when their names do not tell or contradict each other.</summary>
    public static WeightMode? DetectWeightMode(IReadOnlyCollection<string> stored)
    {
        bool fused = stored.Any(n => FusedLayers.Any(part => n.Contains(part, StringComparison.Ordinal)));
        bool single = stored.Any(n => SingleLayers.Any(part => n.Contains(part, StringComparison.Ordinal)));
        return fused == single ? null : fused ? WeightMode.Fused : WeightMode.Single;
    }

    /// <summary>The number of blocks that have tensors: the highest block number + 1; a name whose number is absurd does not count.</summary>
    public int CountBlocks(IEnumerable<string> stored)
    {
        int count = 0;
        foreach (string name in stored.Where(n => n.StartsWith(BlockPrefix, StringComparison.Ordinal)))
        {
            ReadOnlySpan<char> rest = name.AsSpan(BlockPrefix.Length);
            int dot = rest.IndexOf('.');
            if (dot > 0 && int.TryParse(rest[..dot], NumberStyles.None, CultureInfo.InvariantCulture, out int block) && block < ConfigLimits.MaxBlocks)
            {
                count = Math.Max(count, block + 1);
            }
        }

        return count;
    }
}
