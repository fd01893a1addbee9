namespace Xlstm.Backends;

/// <summary>
/// The tokens with the highest logits after an item's last token, in place of the logits of the whole vocabulary. It holds at
/// least the <see cref="Wanted"/> best that are allowed and everything that ties with the last of them, so a sampler that looks
/// at no others chooses from it what it would choose from all logits.
/// </summary>
/// <param name="wanted">How many of the best tokens are needed, at least 1.</param>
/// <param name="forbidden">Tokens that must not be among them.</param>
internal sealed class Shortlist(int wanted, TokenMask forbidden)
{
    /// <summary>Most tokens it holds.</summary>
    public const int Capacity = 1024;

    private readonly int[] _ids = new int[Capacity];
    private readonly float[] _logits = new float[Capacity];

    /// <summary>How many of the best tokens are needed.</summary>
    public int Wanted { get; } = wanted;

    /// <summary>Tokens that must not be among them.</summary>
    public TokenMask Forbidden { get; } = forbidden;

    /// <summary>Tokens it holds. 0 if there was no saying which are best (too many ties, a logit that is not a number): then the logits themselves must be asked for.</summary>
    public int Count { get; private set; }

    /// <summary>Token ids, ascending, [<see cref="Count"/>].</summary>
    public ReadOnlySpan<int> Ids => _ids.AsSpan(0, Count);

    /// <summary>Their logits, float32 [<see cref="Count"/>].</summary>
    public ReadOnlySpan<float> Logits => _logits.AsSpan(0, Count);

    /// <summary>Takes tokens in.</summary>
    /// <param name="ids">Token ids in any order, at most <see cref="Capacity"/>.</param>
    /// <param name="logits">Their logits.</param>
    public void Set(ReadOnlySpan<int> ids, ReadOnlySpan<float> logits)
    {
        ids.CopyTo(_ids);
        logits.CopyTo(_logits);
        Count = ids.Length;
        _ids.AsSpan(0, Count).Sort(_logits.AsSpan(0, Count));
    }

    /// <summary>Empties it.</summary>
    public void Clear() => Count = 0;
}
