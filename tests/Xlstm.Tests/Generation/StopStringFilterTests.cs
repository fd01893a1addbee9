using CsCheck;
using Xlstm.Generation;
using Xunit;

namespace Xlstm.Tests.Generation;

public class StopStringFilterTests
{
    private static (string Text, bool Stopped) Run(IReadOnlyList<string> stops, IEnumerable<string> pieces)
    {
        var filter = new StopStringFilter(stops);
        string text = "";
        foreach (string piece in pieces)
        {
            text += filter.Append(piece, out bool stopped);
            if (stopped)
            {
                Assert.Equal("", filter.Append("more", out stopped));
                Assert.True(stopped);
                return (text + filter.Flush(), true);
            }
        }

        return (text + filter.Flush(), false);
    }

    [Theory]
    [InlineData("aaab", "aab", "a")]        // an overlap of the stop string with itself
    [InlineData("abcx", "abcd|bc", "a")]    // the first to be complete wins ...
    [InlineData("xabc", "c|abc|bc", "x")]   // ... and the longest of those complete together
    [InlineData("abab", "abc", null)]       // held to the end, then let go
    [InlineData("stop", "stop", "")]
    [InlineData("a\U0001F600b", "\U0001F600", "a")]
    public void FindsStops(string text, string stops, string? before)
    {
        (string, bool) expected = (before ?? text, before is not null);
        Assert.Equal(expected, Run(stops.Split('|'), [text]));
        Assert.Equal(expected, Run(stops.Split('|'), text.EnumerateRunes().Select(rune => rune.ToString())));
    }

    // Risk: a stop string across pieces is missed, a false alarm swallows text, or the outcome depends on where tokens end.
    [Fact]
    public void AgreesWithANaiveSearchHoweverTheTextIsCut()
    {
        Gen<string> word = Gen.String[Gen.Char["abc"], 1, 4];
        Gen.Select(word.Array[1, 4], Gen.String[Gen.Char["abc"], 0, 3].Array[0, 12]).Sample((stops, pieces) =>
        {
            string text = string.Concat(pieces);
            (string, bool) expected = (text, false);
            for (int end = 1; end <= text.Length && !expected.Item2; end++)
            {
                string? longest = stops.Where(stop => text[..end].EndsWith(stop, StringComparison.Ordinal)).MaxBy(stop => stop.Length);
                expected = longest is null ? expected : (text[..(end - longest.Length)], true);
            }

            return Run(stops, pieces) == expected;
        });
    }

    // Risk: text is held back longer than it could still become a stop string, so that a stream lags.
    [Fact]
    public void HoldsBackNoMoreThanTheStartOfAStop()
    {
        Gen<string> word = Gen.String[Gen.Char["ab"], 1, 5];
        Gen.Select(word.Array[1, 3], word.Array[1, 8]).Sample((stops, pieces) =>
        {
            var filter = new StopStringFilter(stops);
            string all = "";
            string certain = "";
            foreach (string piece in pieces)
            {
                certain += filter.Append(piece, out bool stopped);
                if (stopped)
                {
                    return true;
                }

                all += piece;
                int held = Enumerable.Range(0, all.Length + 1).Last(n => n == 0 || stops.Any(stop => stop.StartsWith(all[^n..], StringComparison.Ordinal)));
                if (certain != all[..^held])
                {
                    return false;
                }
            }

            return true;
        });
    }

    // Risk: time that grows with the number of stop strings or with how often the text almost is one.
    [Fact]
    public void ManyLongStopsAndHostileTextStayLinear()
    {
        string[] stops = [.. Enumerable.Range(0, 2000).Select(i => new string('a', 100) + i)];
        var filter = new StopStringFilter(stops);
        int length = 0;
        for (int i = 0; i < 20_000; i++)
        {
            length += filter.Append("aaaaa", out bool stopped).Length;
            Assert.False(stopped);
        }

        Assert.Equal(100_000, length + filter.Flush().Length);
    }

    [Fact]
    public void TextPassesThroughAsTheSameStringWithoutAllocation()
    {
        string piece = " some text";
        foreach (string[] stops in (string[][])[[], ["###"]])
        {
            var filter = new StopStringFilter(stops);
            Assert.Same(piece, filter.Append(piece, out _));
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 100; i++)
            {
                filter.Append(piece, out _);
            }

            Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        }
    }

    [Fact]
    public void StopsThatCannotBeTextAreRefused()
    {
        foreach ((string stop, string message) in ((string, string)[])[("", "found an empty one"), ("ab\uD83D", "half of a surrogate pair at its character 2")])
        {
            Assert.Contains(message, Assert.Throws<XlstmException>(() => new StopStringFilter(["ok", stop])).Message, StringComparison.Ordinal);
        }
    }
}
