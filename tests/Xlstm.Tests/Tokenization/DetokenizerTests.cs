using System.Text;
using CsCheck;
using Xunit;

namespace Xlstm.Tests.Tokenization;

public class DetokenizerTests
{
    // Ids below 260 are mostly single bytes: partial characters, complete ones, and bytes that are never UTF-8.
    private static readonly Gen<int[]> IdLists = Gen.OneOf(Gen.Int[-1, 4100], Gen.Int[0, 260], Gen.Int[95, 260]).Array[0, 30];

    /// <summary>Risk: a character split over tokens, or bytes that are no character, come out other than decoded at once.</summary>
    [Fact]
    public void StreamEqualsWholeDecode() =>
        Gen.Select(IdLists, Gen.Bool).Sample((ids, skipSpecial) =>
        {
            Detokenizer detokenizer = TokenizerFiles.Demo.CreateDetokenizer(skipSpecial);
            string streamed = string.Concat(ids.Select(detokenizer.Append)) + detokenizer.Flush();
            Assert.Equal(TokenizerFiles.Demo.Decode(ids, skipSpecial), streamed);
        }, iter: 20_000);

    /// <summary>Risk: half a character reaches the terminal, or a whole one is held back.</summary>
    [Fact]
    public void TextComesWithTheLastByteOfACharacter()
    {
        Tokenizer tokenizer = TokenizerFiles.Demo;
        Detokenizer detokenizer = tokenizer.CreateDetokenizer();
        int[] ids = tokenizer.Encode("😀");
        Assert.True(ids.Length > 1);
        Assert.All(ids[..^1], id => Assert.Equal("", detokenizer.Append(id)));
        Assert.Equal("😀", detokenizer.Append(ids[^1]));
        Assert.Equal("", detokenizer.Flush());
    }

    /// <summary>Risk: an unfinished character vanishes at the end, or lives on in the next text.</summary>
    [Fact]
    public void FlushAndReset()
    {
        Tokenizer tokenizer = TokenizerFiles.Demo;
        Detokenizer detokenizer = tokenizer.CreateDetokenizer();
        int[] ids = tokenizer.Encode("😀");
        detokenizer.Append(ids[0]);
        Assert.Equal("\uFFFD", detokenizer.Flush());
        detokenizer.Append(ids[0]);
        detokenizer.Reset();
        Assert.Equal("", detokenizer.Flush());
        Assert.Equal("a", detokenizer.Append(tokenizer.Encode("a").Single()));
    }

    /// <summary>Risk: garbage for every token of a long generation.</summary>
    [Fact]
    public void WholeTokensAllocateNothing()
    {
        Tokenizer tokenizer = TokenizerFiles.Demo;
        Detokenizer detokenizer = tokenizer.CreateDetokenizer(skipSpecial: true);
        int[] ids = [.. tokenizer.Encode("Once upon a time, there was"), 0];
        int length = 0;
        for (int i = 0; i < 3; i++)
            length += ids.Sum(id => detokenizer.Append(id).Length);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            foreach (int id in ids)
                length += detokenizer.Append(id).Length;
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(1003 * Encoding.UTF8.GetByteCount("Once upon a time, there was"), length);
    }
}
