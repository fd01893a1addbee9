using Xlstm.Cli.Output;
using Xunit;

namespace Xlstm.Cli.Tests;

/// <summary>Risk: the bar does not look like the one people know, or overflows its line. Expected values are tqdm's own.</summary>
public class ProgressLineTests
{
    [Fact]
    public void FinishedInALog() => Assert.Equal(
        "Loading checkpoint shards: 100%|██████████| 6/6 [00:04<00:00,  1.41it/s]",
        ProgressLine.Format("Loading checkpoint shards", 1, 6, 6, TimeSpan.FromSeconds(6 / 1.41), "it", null));

    [Fact]
    public void FinishedOnATerminalOf92Columns() => Assert.Equal(
        "Loading checkpoint shards: 100%|██████████████████████████████| 6/6 [00:04<00:00,  1.41it/s]",
        ProgressLine.Format("Loading checkpoint shards", 1, 6, 6, TimeSpan.FromSeconds(6 / 1.41), "it", 92));

    [Fact]
    public void NothingDoneYet() => Assert.Equal(
        "Loading checkpoint shards:   0%|          | 0/6 [00:00<?, ?it/s]",
        ProgressLine.Format("Loading checkpoint shards", 0, 0, 6, TimeSpan.Zero, "it", null));

    [Fact]
    public void SlowerThanOneASecondTurnsTheRateAround() => Assert.Equal(
        "Loading checkpoint shards:  50%|█████     | 3/6 [00:30<00:30, 10.00s/it]",
        ProgressLine.Format("Loading checkpoint shards", 0.5, 3, 6, TimeSpan.FromSeconds(30), "it", null));

    [Fact]
    public void EighthsOfACellAndHours() => Assert.Equal(
        "x:  33%|███▎      | 1/3 [2:00:00<4:00:00, 7200.00s/it]",
        ProgressLine.Format("x", 1 / 3.0, 1, 3, TimeSpan.FromHours(2), "it", null));

    [Fact]
    public void FillsExactlyTheWidthItIsGiven()
    {
        for (int width = 75; width < 200; width++)
        {
            Assert.Equal(width, ProgressLine.Format("Loading checkpoint shards", 0.41, 2, 6, TimeSpan.FromSeconds(3), "it", width).Length);
        }
    }

    [Fact]
    public void ANarrowTerminalGetsOneCell() =>
        Assert.Contains("|█|", ProgressLine.Format("Loading checkpoint shards", 1, 6, 6, TimeSpan.FromSeconds(3), "it", 20), StringComparison.Ordinal);
}
