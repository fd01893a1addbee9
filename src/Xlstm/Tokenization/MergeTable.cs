using System.Numerics;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;

namespace Xlstm.Tokenization;

/// <summary>What a pair of adjacent tokens becomes, and how early.</summary>
/// <param name="Rank">Place in the list of merges; the lowest goes first.</param>
/// <param name="Merged">Id of the token that the pair becomes.</param>
internal readonly record struct Merge(int Rank, int Merged)
{
    /// <summary>Of a pair that does not merge.</summary>
    public static Merge None => new(int.MaxValue, -1);
}

/// <summary>
/// Merges by pair: a hash table with linear probing, because encoding spends most of its time looking up pairs, most of
/// which are not there. Immutable.
/// </summary>
internal sealed class MergeTable
{
    private const ulong Empty = ulong.MaxValue;

    private readonly ulong[] _pairs;
    private readonly Merge[] _merges;
    private readonly int _shift;
    // Random for each process, so that a file cannot be made to collide.
    private readonly ulong _multiplier = BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong))) | 1;

    /// <param name="merges">Ids of the pair and of what it becomes, lowest rank first. Of a pair listed twice the last rank counts.</param>
    public MergeTable(IReadOnlyList<(int Left, int Right, int Merged)> merges)
    {
        // At most half full, so that probes stay short.
        int size = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(16, 2 * merges.Count));
        _shift = 64 - BitOperations.Log2((uint)size);
        _pairs = new ulong[size];
        _merges = new Merge[size];
        Array.Fill(_pairs, Empty);
        for (int rank = 0; rank < merges.Count; rank++)
        {
            ulong pair = Pair(merges[rank].Left, merges[rank].Right);
            int slot = SlotOf(pair);
            _pairs[slot] = pair;
            _merges[slot] = new Merge(rank, merges[rank].Merged);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Merge Find(int left, int right)
    {
        ulong pair = Pair(left, right);
        int slot = SlotOf(pair);
        return _pairs[slot] == pair ? _merges[slot] : Merge.None;
    }

    private static ulong Pair(int left, int right) => ((ulong)(uint)left << 32) | (uint)right;

    /// <summary>Where a pair is, or where it would go.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int SlotOf(ulong pair)
    {
        ulong[] pairs = _pairs;
        int slot = (int)((pair * _multiplier) >> _shift);
        while (pairs[slot] != pair && pairs[slot] != Empty)
            slot = (slot + 1) & (pairs.Length - 1);
        return slot;
    }
}
