using System.Text;
using CsCheck;
using Xunit;

namespace Xlstm.Tests.Tokenization;

/// <summary>Risk: a text that is read in pieces gets other tokens than the same text as a whole.</summary>
public sealed class TextPiecesTests
{
    private static readonly string[] Parts =
        ["a", "word", "don't", "'s", " ", "  ", "    ", "\n", "\n\n", " \n", "\t", "1", "23", ".", "...", "<|endoftext|>", "<|endof", "e\u0301", "\u0301", "日本", "😀", "\u00A0", "\u2003", "=", "\u0338", "\uD800"];

    public static IEnumerable<TheoryDataRow<string>> Tokenizers => [new("models/demo/tokenizer.json"), new("../shared/tokenizer/gpt-neox-20b.tokenizer.json")];

    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void GivesTheTokensOfTheWhole(string path)
    {
        string file = Path.Combine(TestData.RepositoryRoot, path);
        Assert.SkipUnless(File.Exists(file), $"{path} is not here");
        Tokenizer tokenizer = Tokenizer.LoadFile(file);
        Gen.Select(Gen.Int[0, Parts.Length - 1].Array[0, 60], Gen.Int[2, 12]).Sample(
            (chosen, pieceLength) =>
            {
                string text = string.Concat(chosen.Select(i => Parts[i]));
                Assert.Equal(tokenizer.Encode(text), tokenizer.Encode(new StringReader(text), pieceLength, CancellationToken.None));
            },
            iter: 3000,
            seed: "0000KOIPrtc4");
    }

    [Fact]
    public void LongTextsAndTextsWithoutBlanks()
    {
        Tokenizer tokenizer = Tokenizer.LoadFile(Path.Combine(TestData.DemoModel, "tokenizer.json"));
        var text = new StringBuilder();
        var random = new Random(1);
        while (text.Length < 300_000)
        {
            text.Append(Parts[random.Next(Parts.Length)]);
        }

        Assert.Equal(tokenizer.Encode(text.ToString()), tokenizer.Encode(new StringReader(text.ToString())));
        string solid = new('x', 200_000);
        Assert.Equal(tokenizer.Encode(solid), tokenizer.Encode(new StringReader(solid)));
    }
}
