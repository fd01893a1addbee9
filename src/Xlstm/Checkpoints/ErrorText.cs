using System.Globalization;
using System.Text;

namespace Xlstm.Checkpoints;

/// <summary>Makes text out of a hostile file fit to stand in a one-line message.</summary>
internal static class ErrorText
{
    private const int MaxLength = 120;

    /// <summary>
    /// <paramref name="text"/> in single quotes, cut to a bounded length, with control and format characters escaped: a tensor's name
    /// may hold line breaks and terminal escape sequences.
    /// </summary>
    public static string Quote(string text) => $"'{Clean(text)}'";

    /// <summary>As <see cref="Quote"/>, without the quotes.</summary>
    public static string Clean(string text)
    {
        var clean = new StringBuilder(Math.Min(text.Length, MaxLength));
        foreach (char c in text)
        {
            if (clean.Length >= MaxLength)
            {
                return clean.Append("...").ToString();
            }

            if (char.IsControl(c) || char.IsSurrogate(c) || c is '\u2028' or '\u2029' || CharUnicodeInfo.GetUnicodeCategory(c) == UnicodeCategory.Format)
            {
                clean.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            }
            else
            {
                clean.Append(c);
            }
        }

        return clean.ToString();
    }

    /// <summary>The first five of <paramref name="items"/>, and how many more there are.</summary>
    public static string FirstFive(IReadOnlyCollection<string> items)
    {
        const int Shown = 5;
        string list = string.Join("; ", items.Take(Shown));
        return items.Count > Shown ? string.Create(CultureInfo.InvariantCulture, $"{list}; and {items.Count - Shown} more") : list;
    }

    /// <summary>A shape as <c>[rows, cols]</c>.</summary>
    public static string Shape(IReadOnlyList<long> shape)
    {
        const int Shown = 8;
        string dimensions = string.Join(", ", shape.Take(Shown).Select(d => d.ToString(CultureInfo.InvariantCulture)));
        return shape.Count > Shown ? $"[{dimensions}, ...]" : $"[{dimensions}]";
    }
}
