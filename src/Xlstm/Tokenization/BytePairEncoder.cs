using System.Buffers;
using System.Runtime.CompilerServices;

namespace Xlstm.Tokenization;

/// <summary>
/// Byte pair encoding of one piece: starting from its bytes, the adjacent pair whose merge has the lowest rank, and of
/// those the leftmost, becomes one token until no pair merges. Immutable.
/// </summary>
internal sealed class BytePairEncoder
{
    /// <summary>
    /// Up to here looking through all pairs for the lowest rank beats keeping them in a queue; beyond, it would be quadratic.
    /// </summary>
    private const int LongestScanned = 48;

    private readonly int[] _byteIds;
    private readonly MergeTable _merges;
    private readonly Dictionary<byte[], int> _wholePieces = new(ByteSequenceComparer.Instance);
    private readonly Dictionary<byte[], int>.AlternateLookup<ReadOnlySpan<byte>> _wholePiecesBySpan;
    private readonly int _longestWholePiece;

    /// <param name="byteIds">[256] token of each byte, -1 where there is none; such bytes are dropped.</param>
    /// <param name="merges">Ids of the pair and of what it becomes, lowest rank first.</param>
    /// <param name="tokens">Bytes and ids of all tokens of the byte alphabet.</param>
    /// <param name="ignoreMerges">Whether a piece that is a token as a whole is that token even where merges give others.</param>
    public BytePairEncoder(
        int[] byteIds, IReadOnlyList<(int Left, int Right, int Merged)> merges, IEnumerable<(byte[] Bytes, int Id)> tokens, bool ignoreMerges)
    {
        _byteIds = byteIds;
        _merges = new MergeTable(merges);
        _wholePiecesBySpan = _wholePieces.GetAlternateLookup<ReadOnlySpan<byte>>();

        // Most pieces of a text are one token. Those whose merges end at that token are looked up instead of merged.
        var ids = new PooledBuffer<int>(64);
        foreach (var (bytes, id) in tokens)
        {
            ids.Truncate(0);
            if (!ignoreMerges)
                MergeBytes(bytes, ref ids);
            if (ignoreMerges || (ids.Count == 1 && ids.Written[0] == id))
            {
                _wholePieces[bytes] = id;
                _longestWholePiece = Math.Max(_longestWholePiece, bytes.Length);
            }
        }
        ids.Dispose();
    }

    /// <summary>Appends the token ids of a piece.</summary>
    public void Encode(ReadOnlySpan<byte> piece, ref PooledBuffer<int> ids)
    {
        if (piece.Length <= _longestWholePiece && _wholePiecesBySpan.TryGetValue(piece, out int id))
            ids.Add(id);
        else
            MergeBytes(piece, ref ids);
    }

    private void MergeBytes(ReadOnlySpan<byte> piece, ref PooledBuffer<int> ids)
    {
        Span<int> symbols = ids.Reserve(piece.Length);
        int count = 0;
        foreach (byte value in piece)
        {
            if (_byteIds[value] is >= 0 and int id)
                symbols[count++] = id;
        }
        symbols = symbols[..count];
        int left = count <= LongestScanned ? MergeByScanning(symbols) : MergeByQueue(symbols);
        ids.Truncate(ids.Count - piece.Length + left);
    }

    /// <summary>Merges in place.</summary>
    /// <returns>How many symbols are left.</returns>
    [SkipLocalsInit]
    private int MergeByScanning(Span<int> symbols)
    {
        int count = symbols.Length;
        Span<Merge> merges = stackalloc Merge[LongestScanned];
        for (int i = 0; i + 1 < count; i++)
            merges[i] = _merges.Find(symbols[i], symbols[i + 1]);
        while (true)
        {
            int best = -1;
            int lowest = Merge.None.Rank;
            for (int i = 0; i + 1 < count; i++)
            {
                if (merges[i].Rank < lowest)
                {
                    lowest = merges[i].Rank;
                    best = i;
                }
            }
            if (best < 0)
                return count;
            symbols[best] = merges[best].Merged;
            symbols[(best + 2)..count].CopyTo(symbols[(best + 1)..]);
            merges[(best + 1)..count].CopyTo(merges[best..]);
            count--;
            if (best > 0)
                merges[best - 1] = _merges.Find(symbols[best - 1], symbols[best]);
            if (best + 1 < count)
                merges[best] = _merges.Find(symbols[best], symbols[best + 1]);
        }
    }

    /// <summary>Merges in place, in n log n: pairs by rank and position in a queue, symbols in a linked list.</summary>
    /// <returns>How many symbols are left.</returns>
    private int MergeByQueue(Span<int> symbols)
    {
        int count = symbols.Length;
        int[] next = ArrayPool<int>.Shared.Rent(count);
        int[] previous = ArrayPool<int>.Shared.Rent(count);
        // Rank of the pair that starts at a symbol. A queued pair whose rank is no longer there was merged away.
        int[] ranks = ArrayPool<int>.Shared.Rent(count);
        var queue = new PriorityQueue<Merge, ulong>(count);

        for (int i = 0; i < count; i++)
        {
            next[i] = i + 1;
            previous[i] = i - 1;
            ranks[i] = Merge.None.Rank;
            if (i + 1 < count)
                Enqueue(queue, ranks, i, _merges.Find(symbols[i], symbols[i + 1]));
        }
        while (queue.TryDequeue(out Merge merge, out ulong priority))
        {
            int at = (int)(uint)priority;
            if (ranks[at] != merge.Rank)
                continue;
            int right = next[at];
            int after = next[right];
            symbols[at] = merge.Merged;
            ranks[right] = Merge.None.Rank;
            ranks[at] = Merge.None.Rank;
            next[at] = after;
            if (after < count)
            {
                previous[after] = at;
                Enqueue(queue, ranks, at, _merges.Find(symbols[at], symbols[after]));
            }
            if (previous[at] is >= 0 and int before)
                Enqueue(queue, ranks, before, _merges.Find(symbols[before], symbols[at]));
        }

        int left = 0;
        for (int i = 0; i < count; i = next[i])
            symbols[left++] = symbols[i];
        ArrayPool<int>.Shared.Return(next);
        ArrayPool<int>.Shared.Return(previous);
        ArrayPool<int>.Shared.Return(ranks);
        return left;
    }

    private static void Enqueue(PriorityQueue<Merge, ulong> queue, int[] ranks, int at, Merge merge)
    {
        ranks[at] = merge.Rank;
        if (merge.Rank != Merge.None.Rank)
            queue.Enqueue(merge, ((ulong)merge.Rank << 32) | (uint)at);
    }
}
