using System.Text;
using Xlstm.Tokenization;
using Xunit;

namespace Xlstm.Tests.Tokenization;

public class Gpt2PatternTests
{
    /// <summary>Risk: each alternative of the regular expression and the order in which they are tried.</summary>
    [Theory]
    [InlineData("Hello world", "Hello| world")]
    [InlineData("it's you're we've I'm he'll I'd don't", "it|'s| you|'re| we|'ve| I|'m| he|'ll| I|'d| don|'t")]
    [InlineData("IT'S 'l 'r ''s", "IT|'|S| '|l| '|r| ''|s")]
    [InlineData("'s's", "'s|'s")]
    [InlineData(" 's", " '|s")]
    [InlineData("a1b22 33", "a|1|b|22| 33")]
    [InlineData("a,b!? ...", "a|,|b|!?| ...")]
    [InlineData("a   b", "a|  | b")]
    [InlineData("a\n\nb", "a|\n|\n|b")]
    [InlineData("a \n b", "a| \n| b")]
    [InlineData("a  ", "a|  ")]
    [InlineData(" ", " ")]
    [InlineData("\ta", "\t|a")]
    [InlineData("\u3000a \u3000", "\u3000|a| \u3000")] // only an ASCII space goes with what follows
    [InlineData("\U00010437\U00010437x 𠀀", "\U00010437\U00010437x| 𠀀")] // letters beyond U+FFFF
    [InlineData("٣५Ⅷ½x", "٣५Ⅷ½|x")]
    [InlineData("e\u0301a", "e|\u0301|a")] // a mark is no letter
    [InlineData("x\u200Dy\u200Bz", "x|\u200D|y|\u200B|z")]
    [InlineData("😀😀 😀", "😀😀| 😀")]
    public void Pieces(string text, string expected)
    {
        ReadOnlySpan<byte> rest = Encoding.UTF8.GetBytes(text);
        var pieces = new List<string>();
        while (!rest.IsEmpty)
        {
            int length = Gpt2Pattern.FirstPieceLength(rest);
            pieces.Add(Encoding.UTF8.GetString(rest[..length]));
            rest = rest[length..];
        }
        Assert.Equal(expected, string.Join('|', pieces));
    }
}
