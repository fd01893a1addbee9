using System.Buffers;
using System.Text;

namespace Xlstm.Tokenization;

/// <summary>
/// Normalization form C (Unicode Standard Annex 15) by the tables of Unicode 9, which is the version that Hugging Face
/// tokenizers normalizes by. Of .NET's own normalization the tables are newer, U+FFFE and its like throw, and it does
/// nothing at all under InvariantGlobalization.
/// </summary>
internal static class CanonicalComposition
{
    // The Unicode Standard 3.12, "Conjoining Jamo Behavior".
    private const int FirstSyllable = 0xAC00, FirstLeading = 0x1100, FirstVowel = 0x1161, BeforeTrailing = 0x11A7;
    private const int LeadingCount = 19, VowelCount = 21, TrailingCount = 28, SyllableCount = LeadingCount * VowelCount * TrailingCount;

    /// <summary>Below this lead byte (U+0300) every character is composed already and combines with none before it.</summary>
    private const byte FirstLeadToLookUp = 0xCC;

    /// <summary>In a character's properties beside its combining class: NFC replaces it, or it composes with one before it.</summary>
    private const ushort Unstable = 0x100;

    private const int PageSize = 256;

    private static readonly Dictionary<int, (int First, int Second)> Decompositions = [];
    private static readonly Dictionary<(int First, int Second), int> Composites = [];
    private static readonly ushort[]?[] Pages = new ushort[0x110000 / PageSize][];

    static CanonicalComposition()
    {
        ReadOnlySpan<int> table = NormalizationTables.CombiningClasses;
        for (int i = 0; i < table.Length; i += 3)
        {
            for (int c = table[i]; c <= table[i + 1]; c++)
                PropertiesForWriting(c) |= (ushort)table[i + 2];
        }
        table = NormalizationTables.Composites;
        for (int i = 0; i < table.Length; i += 3)
        {
            Decompositions[table[i]] = (table[i + 1], table[i + 2]);
            Composites[(table[i + 1], table[i + 2])] = table[i];
            PropertiesForWriting(table[i + 2]) |= Unstable;
        }
        table = NormalizationTables.Expansions;
        for (int i = 0; i < table.Length; i += 3)
        {
            Decompositions[table[i]] = (table[i + 1], table[i + 2]);
            PropertiesForWriting(table[i]) |= Unstable;
        }
        for (int c = FirstVowel; c < FirstVowel + VowelCount; c++)
            PropertiesForWriting(c) |= Unstable;
        for (int c = BeforeTrailing + 1; c < BeforeTrailing + TrailingCount; c++)
            PropertiesForWriting(c) |= Unstable;
    }

    /// <summary>Appends the normalized text to <paramref name="output"/>, unless the text is normalized as it is.</summary>
    /// <param name="text">Valid UTF-8.</param>
    /// <param name="output">Where the normalized text goes; untouched when the answer is false.</param>
    /// <returns>Whether anything was written.</returns>
    public static bool TryCompose(ReadOnlySpan<byte> text, ref PooledBuffer<byte> output)
    {
        int copied = 0;
        int starter = 0;
        int position = 0;
        while (position < text.Length)
        {
            byte lead = text[position];
            if (lead < 0x80)
            {
                int ascii = text[position..].IndexOfAnyExceptInRange((byte)0, (byte)0x7F);
                position = ascii < 0 ? text.Length : position + ascii;
                starter = position - 1;
                continue;
            }
            if (IsStable(text[position..], out int length))
            {
                starter = position;
                position += length;
                continue;
            }
            // What composition can change reaches from the last stable character to before the next.
            position += length;
            while (position < text.Length && !IsStable(text[position..], out length))
                position += length;
            output.Add(text[copied..starter]);
            ComposeCluster(text[starter..position], ref output);
            copied = starter = position;
        }
        if (copied == 0)
            return false;
        output.Add(text[copied..]);
        return true;
    }

    /// <summary>Whether the first character stays as it is and is a boundary: nothing after it moves or composes past it.</summary>
    private static bool IsStable(ReadOnlySpan<byte> text, out int length)
    {
        if (text[0] < FirstLeadToLookUp)
        {
            length = text[0] < 0x80 ? 1 : 2;
            return true;
        }
        Rune.DecodeFromUtf8(text, out Rune rune, out length);
        return Properties(rune.Value) == 0;
    }

    private static void ComposeCluster(ReadOnlySpan<byte> cluster, ref PooledBuffer<byte> output)
    {
        var characters = new PooledBuffer<int>(64);
        while (cluster.Length > 0)
        {
            Rune.DecodeFromUtf8(cluster, out Rune rune, out int length);
            Decompose(rune.Value, ref characters);
            cluster = cluster[length..];
        }
        Order(characters.Written);
        int count = Compose(characters.Written);
        foreach (int c in characters.Written[..count])
        {
            var rune = new Rune(c);
            rune.EncodeToUtf8(output.Reserve(rune.Utf8SequenceLength));
        }
        characters.Dispose();
    }

    private static void Decompose(int c, ref PooledBuffer<int> output)
    {
        int syllable = c - FirstSyllable;
        if (syllable is >= 0 and < SyllableCount)
        {
            output.Add(FirstLeading + syllable / (VowelCount * TrailingCount));
            output.Add(FirstVowel + syllable / TrailingCount % VowelCount);
            if (syllable % TrailingCount != 0)
                output.Add(BeforeTrailing + syllable % TrailingCount);
        }
        else if (Decompositions.TryGetValue(c, out (int First, int Second) parts))
        {
            Decompose(parts.First, ref output);
            if (parts.Second != 0)
                Decompose(parts.Second, ref output);
        }
        else
        {
            output.Add(c);
        }
    }

    /// <summary>Canonical ordering: sorts each run of combining characters by class, keeping the order of equals.</summary>
    private static void Order(Span<int> characters)
    {
        for (int start = 0; start < characters.Length; start++)
        {
            int end = start;
            bool ordered = true;
            for (int before = 0; end < characters.Length && CombiningClass(characters[end]) is > 0 and int combiningClass; end++)
            {
                ordered &= before <= combiningClass;
                before = combiningClass;
            }
            if (!ordered)
                SortRun(characters[start..end]);
            start = end;
        }
    }

    private static void SortRun(Span<int> run)
    {
        // Class above position makes every key different, so that any sort is a stable one, and in n log n for hostile runs.
        ulong[] keys = ArrayPool<ulong>.Shared.Rent(run.Length);
        int[] sorted = ArrayPool<int>.Shared.Rent(run.Length);
        for (int i = 0; i < run.Length; i++)
            keys[i] = ((ulong)CombiningClass(run[i]) << 32) | (uint)i;
        run.CopyTo(sorted);
        keys.AsSpan(0, run.Length).Sort(sorted.AsSpan(0, run.Length));
        sorted.AsSpan(0, run.Length).CopyTo(run);
        ArrayPool<ulong>.Shared.Return(keys);
        ArrayPool<int>.Shared.Return(sorted);
    }

    /// <summary>The canonical composition algorithm, in place.</summary>
    /// <returns>How many characters are left.</returns>
    private static int Compose(Span<int> characters)
    {
        int starter = -1;
        int lastClass = -1;
        int count = 0;
        foreach (int c in characters)
        {
            int combiningClass = CombiningClass(c);
            // Blocked if something between has no lower class; lastClass is -1 while nothing is between.
            if (starter >= 0 && lastClass < combiningClass && TryComposePair(characters[starter], c, out int composite))
            {
                characters[starter] = composite;
                continue;
            }
            if (combiningClass == 0)
            {
                starter = count;
                lastClass = -1;
            }
            else
            {
                lastClass = combiningClass;
            }
            characters[count++] = c;
        }
        return count;
    }

    private static bool TryComposePair(int first, int second, out int composite)
    {
        int leading = first - FirstLeading;
        int vowel = second - FirstVowel;
        if (leading is >= 0 and < LeadingCount && vowel is >= 0 and < VowelCount)
        {
            composite = FirstSyllable + (leading * VowelCount + vowel) * TrailingCount;
            return true;
        }
        int syllable = first - FirstSyllable;
        int trailing = second - BeforeTrailing;
        if (syllable is >= 0 and < SyllableCount && syllable % TrailingCount == 0 && trailing is > 0 and < TrailingCount)
        {
            composite = first + trailing;
            return true;
        }
        return Composites.TryGetValue((first, second), out composite);
    }

    private static int CombiningClass(int c) => (byte)Properties(c);

    private static int Properties(int c) => Pages[c / PageSize] is { } page ? page[c % PageSize] : 0;

    private static ref ushort PropertiesForWriting(int c) => ref (Pages[c / PageSize] ??= new ushort[PageSize])[c % PageSize];
}
