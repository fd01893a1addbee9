using System.Text;
using CsCheck;
using Xlstm.Tokenization;
using Xunit;

namespace Xlstm.Tests.Tokenization;

/// <summary>These hold with and without InvariantGlobalization, since nothing here asks .NET to normalize.</summary>
public class CanonicalCompositionTests
{
    /// <summary>Risk: each rule of the composition algorithm, and the tables of the right version.</summary>
    [Theory]
    [InlineData("e\u0301", "é")]
    [InlineData("A\u030A", "Å")]
    [InlineData("\u212B", "Å")] // a singleton
    [InlineData("s\u0307\u0323", "\u1E69")] // order, then both marks
    [InlineData("a\u0316\u0301", "á\u0316")] // past a mark of a lower class
    [InlineData("a\u0302\u0301", "\u1EA5")]
    [InlineData("a\u0305\u0301", "a\u0305\u0301")] // blocked by a mark of the same class
    [InlineData("e\u0316a\u0301", "e\u0316á")]
    [InlineData("\u0301e\u0301", "\u0301é")] // a mark without a base
    [InlineData("\u0958", "\u0915\u093C")] // excluded from composition
    [InlineData("\u2ADC", "\u2ADD\u0338")] // composition would begin with it
    [InlineData("\u0344", "\u0308\u0301")] // a mark made of marks
    [InlineData("\u0CC6\u0CC2\u0CD5", "\u0CCB")] // composes with starters, twice
    [InlineData("\u1100\u1161\u11A8", "각")]
    [InlineData("가\u11A8", "각")]
    [InlineData("가\u11A7", "가\u11A7")] // no trailing consonant
    [InlineData("각\u11A8", "각\u11A8")]
    [InlineData("\U0001D15E", "\U0001D157\U0001D165")]
    [InlineData("\U00011131\U00011127", "\U0001112E")]
    [InlineData("e\u1DF6\u0301\u0316", "e\u1DF6\u0316\u0301")] // a mark of Unicode 10 has no class in Unicode 9 and stops the others
    [InlineData("\U00011935\U00011930", "\U00011935\U00011930")] // composes from Unicode 13 on
    [InlineData("\uFFFEe\u0301\uFFFF", "\uFFFEé\uFFFF")] // string.Normalize throws
    [InlineData("x\u0338<\u0338", "x\u0338\u226E")]
    public void Composes(string text, string expected)
    {
        Assert.Equal(expected, Compose(text));
        Assert.Equal(expected, Compose(expected));
        Assert.Equal("日é" + expected + "x", Compose("日e\u0301" + text + "x"));
    }

    /// <summary>Risk: text that is composed already is copied for nothing, which is most text.</summary>
    [Theory]
    [InlineData("")]
    [InlineData("plain")]
    [InlineData("déjà vu 日本語 각 😀 \uFFFE")]
    public void ComposedTextIsLeftAlone(string text)
    {
        var output = new PooledBuffer<byte>(0);
        Assert.False(CanonicalComposition.TryCompose(Encoding.UTF8.GetBytes(text), ref output));
        Assert.Equal(0, output.Count);
        output.Dispose();
    }

    /// <summary>Risk: boundaries: composing twice changes something, or what stands around a text does.</summary>
    [Fact]
    public void ComposingTwiceChangesNothing() =>
        Gen.String[Gen.Char["aeE\u0301\u0316\u0327\u0338\u0345<\u1100\u1161\u11A8\uAC00\u0915\u093C\u0344\u212B\u0F71\u0F72 日"], 0, 30].Sample(text =>
        {
            string once = Compose(text);
            Assert.Equal(once, Compose(once));
            Assert.Equal(Compose("日" + text) + Compose("日" + text), Compose("日" + text + "日" + text));
        }, iter: 5000);

    private static string Compose(string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        var output = new PooledBuffer<byte>(0);
        string composed = CanonicalComposition.TryCompose(utf8, ref output) ? Encoding.UTF8.GetString(output.Written) : text;
        output.Dispose();
        return composed;
    }
}
