namespace Xlstm.Tokenization;

/// <summary>What a tokenizer.json of a supported kind says, checked.</summary>
internal sealed class TokenizerDefinition
{
    /// <summary>The model's tokens in the characters of <see cref="ByteAlphabet"/>, and their ids; no id twice.</summary>
    public required IReadOnlyDictionary<string, int> Vocabulary { get; init; }

    /// <summary>Ids of each mergeable pair and of what it becomes, lowest rank first.</summary>
    public required IReadOnlyList<(int Left, int Right, int Merged)> Merges { get; init; }

    /// <summary>Tokens split off before BPE, in the file's order; contents and ids are unique and agree with the vocabulary.</summary>
    public required IReadOnlyList<AddedToken> AddedTokens { get; init; }

    /// <summary>Whether a piece that is a token as a whole is never merged.</summary>
    public required bool IgnoreMerges { get; init; }

    /// <summary>Whether text is brought to normalization form C.</summary>
    public required bool Normalizes { get; init; }

    /// <summary>Whether a stretch of text between added tokens gets a space in front where it has none.</summary>
    public required bool AddPrefixSpace { get; init; }

    /// <summary>Whether text is cut by <see cref="Gpt2Pattern"/> before BPE.</summary>
    public required bool UseRegex { get; init; }
}
