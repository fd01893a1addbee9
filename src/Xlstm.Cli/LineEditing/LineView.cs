using System.Globalization;
using System.Text;

namespace Xlstm.Cli.LineEditing;

/// <summary>The part of a line that fits beside its prompt on one row, and where the cursor stands in it.</summary>
/// <param name="Text">What to show.</param>
/// <param name="Cursor">Columns from the start of the text.</param>
internal readonly record struct LineView(string Text, int Cursor)
{
    /// <param name="text">The line.</param>
    /// <param name="position">The cursor's place in it.</param>
    /// <param name="columns">Columns there are, at least 2.</param>
    public static LineView Of(string text, int position, int columns)
    {
        // Scrolled just as far as it takes for the cursor to be in sight.
        int start = 0;
        while (Columns(text.AsSpan(start, position - start)) > columns - 1)
        {
            start += StringInfo.GetNextTextElementLength(text, start);
        }

        int end = start;
        while (end < text.Length && Columns(text.AsSpan(start, end - start)) + Columns(Element(text, end)) <= columns)
        {
            end += Element(text, end).Length;
        }

        return new LineView(Visible(text.AsSpan(start, end - start)), Columns(text.AsSpan(start, position - start)));
    }

    private static ReadOnlySpan<char> Element(string text, int start) => text.AsSpan(start, StringInfo.GetNextTextElementLength(text, start));

    private static int Columns(ReadOnlySpan<char> text)
    {
        int columns = 0;
        while (!text.IsEmpty)
        {
            int length = StringInfo.GetNextTextElementLength(text);
            Rune.DecodeFromUtf16(text, out Rune first, out _);
            columns += IsWide(first.Value) ? 2 : 1;
            text = text[length..];
        }

        return columns;
    }

    // East Asian wide and fullwidth blocks, and pictographs.
    private static bool IsWide(int rune) => rune is (>= 0x1100 and <= 0x115F) or (>= 0x2E80 and <= 0xA4CF) or (>= 0xAC00 and <= 0xD7A3)
        or (>= 0xF900 and <= 0xFAFF) or (>= 0xFE30 and <= 0xFE6F) or (>= 0xFF00 and <= 0xFF60) or (>= 0xFFE0 and <= 0xFFE6)
        or (>= 0x1F300 and <= 0x1FAFF) or (>= 0x20000 and <= 0x3FFFD);

    private static string Visible(ReadOnlySpan<char> text)
    {
        var visible = new StringBuilder(text.Length);
        foreach (char c in text)
        {
            visible.Append(c == '\n' ? '⏎' : char.IsControl(c) ? '�' : c);
        }

        return visible.ToString();
    }
}
