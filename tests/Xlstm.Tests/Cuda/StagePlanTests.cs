using Xlstm.Backends.Cuda;
using Xunit;

namespace Xlstm.Tests.Cuda;

/// <summary>Placing a model on several GPUs: every block once, in order, never more than fits, and refused only when it does not fit.</summary>
public class StagePlanTests
{
    [Fact]
    public void EveryBlockHasOnePlaceThatHasRoomForIt()
    {
        var random = new Random(1);
        int placed = 0;
        for (int run = 0; run < 20_000; run++)
        {
            int blocks = random.Next(1, 70), gpus = random.Next(1, Math.Min(blocks, 8) + 1);
            long perBlock = random.Next(1, 1000), ends = random.Next(0, 3000), workspace = random.Next(0, 500);
            long BytesOf(ModelStage stage) => workspace + (stage.Blocks * perBlock) + (stage.HasEmbeddings ? ends : 0) + (stage.HasHead ? ends : 0);
            long[] free = [.. Enumerable.Range(0, gpus).Select(_ => random.NextInt64(0, 2 * ((blocks * perBlock / gpus) + ends + workspace)))];
            ModelStage[]? stages = StagePlan.Divide(blocks, BytesOf, free);
            if (stages is null)
            {
                // Then not even filling every GPU to the brim serves, or one of them cannot hold a block.
                long[] room = [.. free.Select((bytes, i) => (bytes - BytesOf(new ModelStage(0, 0, i == 0, i == gpus - 1))) / perBlock)];
                Assert.True(room.Min() <= 0 || room.Sum() < blocks);
                continue;
            }

            placed++;
            Assert.Equal(gpus, stages.Length);
            Assert.Equal(blocks, stages.Sum(stage => stage.Blocks));
            for (int i = 0; i < gpus; i++)
            {
                Assert.Equal(stages[..i].Sum(stage => stage.Blocks), stages[i].FirstBlock);
                Assert.InRange(stages[i].Blocks, 1, blocks);
                Assert.Equal((i == 0, i == gpus - 1), (stages[i].HasEmbeddings, stages[i].HasHead));
                Assert.InRange(BytesOf(stages[i]), 0, free[i]);
            }
        }

        Assert.InRange(placed, 2_000, 18_000);
    }

    [Theory]
    [InlineData(32, new long[] { 24, 24 }, new[] { 16, 16 })]
    [InlineData(32, new long[] { 80, 24 }, new[] { 25, 7 })]
    [InlineData(32, new long[] { 24, 24, 24 }, new[] { 11, 11, 10 })]
    public void MemoryDecidesTheShares(int blocks, long[] gigabytes, int[] expected)
    {
        long[] free = [.. gigabytes.Select(n => n * 1_000_000_000)];
        ModelStage[] stages = StagePlan.Divide(blocks, stage => 100_000_000 + (stage.Blocks * 400_000_000L), free)!;
        Assert.Equal(expected, stages.Select(stage => stage.Blocks));
    }
}
