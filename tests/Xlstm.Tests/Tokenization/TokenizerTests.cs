using System.Diagnostics;
using System.Text;
using CsCheck;
using Xunit;

namespace Xlstm.Tests.Tokenization;

public class TokenizerTests
{
    private static readonly Gen<string> Texts =
        Gen.OneOf(
            Gen.String[Gen.Char["abc'std  \n12éÅ\u0301\u0316日\uD83D\uDE00<|>"], 0, 40],
            Gen.String[0, 40],
            Gen.OneOf("<|endoftext|>", "<|padding|>", "    ", "  ", "'re", " the", "\uD800")).Array[0, 6].Select(string.Concat);

    /// <summary>Risk: a stage loses or invents text. What comes back is the text itself, normalized.</summary>
    [Fact]
    public void DecodingGivesTheTextBack() =>
        Gen.String[Gen.Char[' ', '\u02FF'], 0, 60].Sample(
            text => Assert.Equal(text, TokenizerFiles.Demo.Decode(TokenizerFiles.Demo.Encode(text))), iter: 2000);

    /// <summary>Risk: the three ways in differ, or UTF-16 and UTF-8 that are not valid are replaced differently.</summary>
    [Fact]
    public void AnyInputIsReadAsEncodingUtf8ReadsIt()
    {
        Texts.Sample(text =>
        {
            int[] ids = TokenizerFiles.Demo.Encode(text);
            Assert.Equal(ids, TokenizerFiles.Demo.Encode(text.AsSpan()));
            Assert.Equal(ids, TokenizerFiles.Demo.EncodeUtf8(Encoding.UTF8.GetBytes(text)));
        }, iter: 2000);
        Gen.Byte.Array[0, 40].Sample(
            bytes => Assert.Equal(TokenizerFiles.Demo.Encode(Encoding.UTF8.GetString(bytes)), TokenizerFiles.Demo.EncodeUtf8(bytes)),
            iter: 2000);
        Assert.Equal(TokenizerFiles.Demo.Encode("a\uFFFDb\uFFFD"), TokenizerFiles.Demo.Encode("a\uD83Db\uDE00"));
    }

    /// <summary>Risk: one Tokenizer serves many threads; a hidden shared buffer would mix their texts.</summary>
    [Fact]
    public void ManyThreadsShareOne()
    {
        Tokenizer fresh = TokenizerFiles.Load(TokenizerFiles.Small);
        string[] texts = [.. Enumerable.Range(0, 500).Select(i => string.Concat(Enumerable.Repeat("abc  bc a<ü>u\u0308\n", 1 + i % 40)) + new string('a', i))];
        int[][] expected = [.. texts.Select(TokenizerFiles.Load(TokenizerFiles.Small).Encode)];
        Parallel.For(0, 4 * texts.Length, i =>
        {
            Assert.Equal(expected[i % texts.Length], fresh.Encode(texts[i % texts.Length]));
            Detokenizer detokenizer = fresh.CreateDetokenizer();
            string streamed = string.Concat(expected[i % texts.Length].Select(detokenizer.Append)) + detokenizer.Flush();
            Assert.Equal(fresh.Decode(expected[i % texts.Length]), streamed);
        });
    }

    /// <summary>
    /// Risk: a cost that grows with the square of a piece's length, which turns one request into hours. All of these take
    /// seconds; the bound leaves room for a machine that is busy, and the square of any of the sizes is far beyond it.
    /// </summary>
    [Fact]
    public void HostileTextTakesSeconds()
    {
        const int Megabyte = 1 << 20;
        var random = new Random(1);
        string[] hostile =
        [
            string.Concat(Enumerable.Range(0, 4 * Megabyte).Select(_ => (char)random.Next('a', 'z' + 1))), // one piece, many merges
            string.Concat(Enumerable.Repeat("the", Megabyte / 3)), // one piece, deep merges
            new string('\'', Megabyte),
            new string(' ', Megabyte), // one run of white space, all added tokens
            string.Concat(Enumerable.Repeat("<|endoftex", Megabyte / 10)), // almost an added token everywhere
            "e" + string.Concat(Enumerable.Repeat("\u0301\u0316", Megabyte / 4)), // marks to be sorted past each other
        ];
        long start = Stopwatch.GetTimestamp();
        foreach (string text in hostile)
            Assert.NotEmpty(TokenizerFiles.Demo.Encode(text));
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, 0, 120);
    }

    /// <summary>Risk: the order of merges: lowest rank first, then leftmost; also where pieces are long enough for a queue.</summary>
    [Theory]
    [InlineData("abc", new[] { 7 })]
    [InlineData("bcab", new[] { 6, 5 })]
    [InlineData("ababc", new[] { 5, 7 })]
    [InlineData("abcbc", new[] { 7, 6 })]
    [InlineData("xaybz", new[] { 5 })] // bytes without a token are dropped before merging
    [InlineData("", new int[0])]
    public void MergesByRank(string text, int[] expected)
    {
        Tokenizer tokenizer = TokenizerFiles.Load(TokenizerFiles.Small);
        Assert.Equal(expected, tokenizer.Encode(text));
        string many = string.Concat(Enumerable.Repeat(text + "c", 100));
        Assert.Equal(Enumerable.Repeat(tokenizer.Encode(text + "c"), 100).SelectMany(ids => ids), tokenizer.Encode(many));
    }

    /// <summary>Risk: a pair listed twice counts by its first rank; Hugging Face tokenizers counts the last.</summary>
    [Fact]
    public void APairListedTwiceHasItsLastRank()
    {
        Tokenizer tokenizer = TokenizerFiles.Load(TokenizerFiles.Small.Replace("[\"ab\",\"c\"]", "[\"a\",\"b\"]", StringComparison.Ordinal));
        Assert.Equal([1, 6], tokenizer.Encode("abc"));
    }

    /// <summary>Risk: merges as strings, the older way to write them, read differently.</summary>
    [Fact]
    public void MergesAsStrings()
    {
        string json = TokenizerFiles.Small.Replace("""[["a","b"],["b","c"],["ab","c"]]""", """["#version: 0.2","a b","b c","ab c"]""", StringComparison.Ordinal);
        Assert.Equal([7, 6], TokenizerFiles.Load(json).Encode("abcbc"));
    }

    /// <summary>Risk: ignore_merges is not obeyed: a token that merges never make must be found as a whole piece, and only so.</summary>
    [Fact]
    public void IgnoreMerges()
    {
        string json = TokenizerFiles.Small.Replace("""["ab","c"]""", """["b","c"]""", StringComparison.Ordinal);
        Assert.Equal([5, 3], TokenizerFiles.Load(json.Replace("""["b","c"],["b","c"]""", "[\"b\",\"c\"]", StringComparison.Ordinal)).Encode("abc"));
        json = json.Replace("\"ignore_merges\":false", "\"ignore_merges\":true", StringComparison.Ordinal);
        Assert.Equal([7, 4, 6], TokenizerFiles.Load(json).Encode("abc bc"));
    }

    /// <summary>Risk: the space in front goes to the whole text only, or also where there is one, or before an added token.</summary>
    [Fact]
    public void PrefixSpaceForEachStretchOfText()
    {
        Tokenizer tokenizer = TokenizerFiles.Load(TokenizerFiles.Small.Replace("\"add_prefix_space\":false", "\"add_prefix_space\":true", StringComparison.Ordinal));
        Assert.Equal([4, 1, 0, 4, 2, 9, 4, 3], tokenizer.Encode("a<|endoftext|> b  c"));
        Assert.Equal([0], tokenizer.Encode("<|endoftext|>"));
        Assert.Empty(tokenizer.Encode(""));
    }

    /// <summary>Risk: without the regular expression merges must cross what it would have cut.</summary>
    [Fact]
    public void WithoutRegexTextIsOnePiece()
    {
        string json = TokenizerFiles.Small
            .Replace("\"use_regex\":true},\n\"post", "\"use_regex\":false},\n\"post", StringComparison.Ordinal)
            .Replace("\"ab\":5", "\"aĠ\":5", StringComparison.Ordinal)
            .Replace("""[["a","b"],["b","c"],["ab","c"]]""", """[["a","Ġ"]]""", StringComparison.Ordinal);
        Assert.Equal([5, 2], TokenizerFiles.Load(json).Encode("a b"));
    }

    /// <summary>Risk: normalization off, or tokens matched on the wrong side of it.</summary>
    [Fact]
    public void AddedTokensBeforeAndAfterNormalization()
    {
        Tokenizer tokenizer = TokenizerFiles.Load(TokenizerFiles.Small);
        Assert.Equal([10], tokenizer.Encode("<ü>"));
        Assert.Empty(tokenizer.Encode("<u\u0308>")); // not normalized: the text must be as the token is

        string normalized = TokenizerFiles.Small.Replace("\"<ü>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false",
            "\"<u\u0308>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":true", StringComparison.Ordinal);
        Assert.Equal([10, 10], TokenizerFiles.Load(normalized).Encode("<ü><u\u0308>")); // text and token are brought to the same form
        string without = normalized.Replace("\"normalizer\":{\"type\":\"NFC\"}", "\"normalizer\":null", StringComparison.Ordinal);
        Assert.Equal([10], TokenizerFiles.Load(without).Encode("<ü><u\u0308>"));
    }

    /// <summary>Risk: facts that the model relies on: padding rows, special tokens, bytes of partial characters.</summary>
    [Fact]
    public void FactsAboutTokens()
    {
        Tokenizer tokenizer = TokenizerFiles.Load(TokenizerFiles.Small);
        Assert.Equal((11, 10), (tokenizer.VocabularySize, tokenizer.MaxId));
        Assert.Equal("<ü>"u8, tokenizer.GetBytes(10));
        Assert.Equal(" "u8, tokenizer.GetBytes(4));
        Assert.Equal((true, false, false), (tokenizer.IsSpecial(0), tokenizer.IsSpecial(10), tokenizer.IsSpecial(-1)));
        Assert.Equal((true, false, false, false), (tokenizer.HasToken(10), tokenizer.HasToken(11), tokenizer.HasToken(-1), tokenizer.HasToken(int.MinValue)));
        Assert.True(tokenizer.GetBytes(11).IsEmpty);
        Assert.Equal("a<|endoftext|>b", tokenizer.Decode([1, 0, 2, 50303, -5]));
        Assert.Equal("ab", tokenizer.Decode([1, 0, 2], skipSpecial: true));

        Tokenizer demo = TokenizerFiles.Demo;
        Assert.Equal((4096, 4095, 0, 0), (demo.VocabularySize, demo.MaxId, demo.BeginOfText, demo.EndOfText));
    }
}
