using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace Xlstm.Tokenization;

/// <summary>
/// The regular expression by which GPT-2 cuts text into pieces before BPE:
/// <c>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</c>, over code points. .NET's regular
/// expressions see UTF-16 units, to which a letter beyond U+FFFF is two unassigned characters; hence by hand.
/// </summary>
internal static class Gpt2Pattern
{
    private static readonly CharacterClass[] AsciiClasses = [.. Enumerable.Range(0, 128).Select(c => ClassOf(new Rune(c)))];

    private enum CharacterClass : byte
    {
        Other,
        Letter,
        Number,
        Space,
    }

    /// <summary>Length in bytes of the first piece of a text that is not empty and valid UTF-8.</summary>
    public static int FirstPieceLength(ReadOnlySpan<byte> text)
    {
        if (text[0] == '\'' && ContractionLength(text) is > 0 and int contraction)
            return contraction;
        int start = text[0] == ' ' && text.Length > 1 ? 1 : 0;
        CharacterClass first = ClassAt(text, start, out int length);
        return first == CharacterClass.Space ? SpacesLength(text) : RunEnd(text, start + length, first);
    }

    private static int ContractionLength(ReadOnlySpan<byte> text)
    {
        if (text.Length >= 3 && (text[1], text[2]) is ((byte)'r', (byte)'e') or ((byte)'v', (byte)'e') or ((byte)'l', (byte)'l'))
            return 3;
        return text.Length >= 2 && text[1] is (byte)'s' or (byte)'t' or (byte)'m' or (byte)'d' ? 2 : 0;
    }

    /// <summary>
    /// <c>\s+(?!\S)|\s+</c>: all the white space at the end of the text; before anything else the last of several is left
    /// for the next piece, whose <c> ?</c> may take it.
    /// </summary>
    private static int SpacesLength(ReadOnlySpan<byte> text)
    {
        int end = 0;
        int last = 0;
        while (end < text.Length && ClassAt(text, end, out int length) == CharacterClass.Space)
        {
            last = end;
            end += length;
        }
        return end == text.Length || last == 0 ? end : last;
    }

    private static int RunEnd(ReadOnlySpan<byte> text, int position, CharacterClass wanted)
    {
        while (position < text.Length && ClassAt(text, position, out int length) == wanted)
            position += length;
        return position;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static CharacterClass ClassAt(ReadOnlySpan<byte> text, int position, out int length)
    {
        byte lead = text[position];
        if (lead < 0x80)
        {
            length = 1;
            return AsciiClasses[lead];
        }
        Rune.DecodeFromUtf8(text[position..], out Rune rune, out length);
        return ClassOf(rune);
    }

    private static CharacterClass ClassOf(Rune rune) => Rune.GetUnicodeCategory(rune) switch
    {
        UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter
            or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter => CharacterClass.Letter,
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => CharacterClass.Number,
        _ => Rune.IsWhiteSpace(rune) ? CharacterClass.Space : CharacterClass.Other,
    };
}
