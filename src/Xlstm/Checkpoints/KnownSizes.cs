namespace Xlstm.Checkpoints;

/// <summary>Configs to synthesize models by: xLSTM-7B, and smaller members of its family with the same proportions and vocabulary.</summary>
public static class KnownSizes
{
    private const int Vocabulary = 50304;

    private static readonly (string Name, XlstmConfig Config)[] Sizes =
    [
        ("160m", new XlstmConfig { EmbeddingDim = 768, NumBlocks = 12, NumHeads = 6, VocabSize = Vocabulary }),
        ("400m", new XlstmConfig { EmbeddingDim = 1024, NumBlocks = 24, NumHeads = 4, VocabSize = Vocabulary }),
        ("1.4b", new XlstmConfig { EmbeddingDim = 2048, NumBlocks = 24, NumHeads = 8, VocabSize = Vocabulary }),
        ("xlstm-7b", new XlstmConfig { EmbeddingDim = 4096, NumBlocks = 32, NumHeads = 8, VocabSize = Vocabulary }),
    ];

    /// <summary>The names, smallest first.</summary>
    public static IReadOnlyList<string> Names { get; } = Sizes.Select(size => size.Name).ToArray();

    /// <summary>The config of a known size (in any case), of a config.json, or of a checkpoint's folder.</summary>
    /// <param name="nameOrPath">A name of <see cref="Names"/>, a file or a folder.</param>
    /// <exception cref="CheckpointException">It is none of these, or the config is not sound.</exception>
    public static XlstmConfig Resolve(string nameOrPath)
    {
        ArgumentException.ThrowIfNullOrEmpty(nameOrPath);
        foreach ((string name, XlstmConfig config) in Sizes)
        {
            if (name.Equals(nameOrPath, StringComparison.OrdinalIgnoreCase))
            {
                return config;
            }
        }

        if (Directory.Exists(nameOrPath))
        {
            return XlstmConfig.Read(Path.Combine(nameOrPath, "config.json"));
        }

        return File.Exists(nameOrPath)
            ? XlstmConfig.Read(nameOrPath)
            : throw new CheckpointException($"{nameOrPath}: neither a known size ({string.Join(", ", Names)}) nor a config.json");
    }
}
