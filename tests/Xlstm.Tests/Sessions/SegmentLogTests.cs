using CsCheck;
using Xlstm.Sessions;
using Xunit;

namespace Xlstm.Tests.Sessions;

/// <summary>Risk: a replay is cut otherwise than the first reading was. Against a plain list of the ends of all passes.</summary>
public sealed class SegmentLogTests
{
    [Fact]
    public void AgreesWithAPlainList() =>
        Gen.Select(Gen.Int[1, 4], Gen.Int[0, 30], Gen.Bool).List[1, 30].Sample(
            operations =>
            {
                var log = new SegmentLog();
                var ends = new List<int> { 0 };
                foreach ((int length, int position, bool truncate) in operations)
                {
                    if (truncate && position < ends[^1])
                    {
                        log.Truncate(position);
                        ends.RemoveAll(end => end >= position);
                        ends.Add(position);
                    }
                    else
                    {
                        log.Add(length);
                        ends.Add(ends[^1] + length);
                    }

                    Assert.Equal(ends[^1], log.Length);
                    for (int i = 0; i < log.Length; i++)
                    {
                        Assert.Equal(ends.First(end => end > i), log.EndAfter(i));
                        Assert.Equal(ends.Contains(i), log.IsEnd(i));
                    }
                }
            },
            iter: 300,
            seed: "0000KOIPrtc4");
}
