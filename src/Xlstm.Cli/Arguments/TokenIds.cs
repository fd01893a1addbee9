using System.Buffers;
using System.Globalization;

namespace Xlstm.Cli.Arguments;

/// <summary>Lists of token ids as text: <c>0,5,7</c>, <c>0 5 7</c>, one a line, or a JSON array.</summary>
internal static class TokenIds
{
    private static readonly SearchValues<char> Separators = SearchValues.Create(", \t\r\n[]");

    /// <param name="text">The list.</param>
    /// <param name="what">Where it is from, for errors.</param>
    /// <exception cref="UsageException">A word of it is not a number.</exception>
    /// <exception cref="XlstmException">A number is no token id of any model.</exception>
    public static int[] Parse(ReadOnlySpan<char> text, string what)
    {
        var ids = new List<int>();
        while (text.IndexOfAnyExcept(Separators) is var start and >= 0)
        {
            text = text[start..];
            int end = text.IndexOfAny(Separators) is var e and >= 0 ? e : text.Length;
            var word = text[..end];
            if (!int.TryParse(word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int id))
            {
                throw word.TrimStart('-').IndexOfAnyExceptInRange('0', '9') < 0
                    ? new XlstmException($"{what}: token id {word} is outside every vocabulary")
                    : new UsageException($"{what}: expected token ids such as 0,5,7, found '{word[..Math.Min(end, 40)]}'");
            }
            ids.Add(id);
            text = text[end..];
        }
        return [.. ids];
    }

    /// <summary>Reads a file of ids; "-" is stdin.</summary>
    /// <exception cref="XlstmException">It holds something else.</exception>
    public static async Task<int[]> ReadAsync(string path, CancellationToken cancellationToken)
    {
        string text = await InputText.ReadAsync(path, cancellationToken).ConfigureAwait(false);
        try
        {
            return Parse(text, InputText.Name(path));
        }
        catch (UsageException e)
        {
            // The command line is right, the file is not.
            throw new XlstmException(e.Message, e);
        }
    }

    /// <exception cref="XlstmException">An id has no row in the vocabulary.</exception>
    public static void Check(ReadOnlySpan<int> ids, int vocabSize, string what)
    {
        int at = ids.IndexOfAnyExceptInRange(0, vocabSize - 1);
        if (at >= 0)
        {
            throw new XlstmException($"{what}: token id {ids[at]} (the {Ordinal(at + 1)}) is outside the vocabulary, 0 to {vocabSize - 1}");
        }
    }

    private static string Ordinal(int n) => n + ((n % 100) is 11 or 12 or 13 ? "th" : (n % 10) switch { 1 => "st", 2 => "nd", 3 => "rd", _ => "th" });
}
