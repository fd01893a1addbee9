namespace Xlstm;

/// <summary>What a <see cref="PrefixCache"/> keeps.</summary>
public sealed record PrefixCacheOptions
{
    /// <summary>Most bytes of states in memory; for a model on a GPU, in its memory. The least recently used goes first.</summary>
    public long ByteBudget { get; init; } = 2L << 30;

    /// <summary>Tokens between two states kept while a prompt is read. A prompt that leaves a known one midway starts from the last of these before that place; the third starts right there.</summary>
    public int Interval { get; init; } = 512;

    /// <summary>Prefixes shorter than this are not kept: reading them costs less than keeping them.</summary>
    public int MinimumTokens { get; init; } = 16;

    /// <summary>A folder that outlives the process, for this and other models; null keeps states in memory only. It is made if it is missing.</summary>
    public string? Folder { get; init; }

    /// <summary>Most bytes of this model's files in <see cref="Folder"/>.</summary>
    public long FolderByteBudget { get; init; } = 8L << 30;

    internal void Validate()
    {
        if (ByteBudget < 0 || FolderByteBudget < 0)
        {
            throw new XlstmException($"the byte budgets of a prefix cache must not be negative, found {Math.Min(ByteBudget, FolderByteBudget)}");
        }

        if (Interval < 1 || MinimumTokens < 1)
        {
            throw new XlstmException($"the interval and the minimum of tokens of a prefix cache must be at least 1, found {Math.Min(Interval, MinimumTokens)}");
        }
    }
}

/// <summary>What a <see cref="PrefixCache"/> has done and holds.</summary>
public sealed record PrefixCacheStatistics
{
    /// <summary>Appends that went on from a node.</summary>
    public long Hits { get; init; }

    /// <summary>Appends that found no node deeper than where their session stood.</summary>
    public long Misses { get; init; }

    /// <summary>Tokens that need not be read, over all hits.</summary>
    public long TokensSaved { get; init; }

    /// <summary>States given up for the budget in memory.</summary>
    public long Evictions { get; init; }

    /// <summary>States in memory.</summary>
    public int States { get; init; }

    /// <summary>Bytes in memory: states, logits and token ids.</summary>
    public long ByteLength { get; init; }

    /// <summary>States in the folder.</summary>
    public int Files { get; init; }

    /// <summary>Bytes in the folder.</summary>
    public long FileBytes { get; init; }

    /// <summary>Why a file could not be written last; null if all could. The cache goes on without it.</summary>
    public string? LastWriteError { get; init; }
}
