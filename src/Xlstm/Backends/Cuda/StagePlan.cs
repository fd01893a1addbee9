namespace Xlstm.Backends.Cuda;

/// <summary>How a model is divided over several GPUs: neighbouring blocks on each, as many as its share of the memory that is free.</summary>
internal static class StagePlan
{
    private const int MostBlocks = 1 << 20;

    /// <summary>Stages for GPUs in order; null if the model does not fit.</summary>
    /// <param name="blocks">Blocks of the model, at least as many as GPUs.</param>
    /// <param name="bytesOf">Bytes that a stage needs: some for itself and as many for each of its blocks.</param>
    /// <param name="free">Bytes free on each GPU.</param>
    public static ModelStage[]? Divide(int blocks, Func<ModelStage, long> bytesOf, ReadOnlySpan<long> free)
    {
        ArgumentOutOfRangeException.ThrowIfZero(free.Length, nameof(free));
        ArgumentOutOfRangeException.ThrowIfLessThan(blocks, free.Length);
        long perBlock = bytesOf(new ModelStage(0, 1, HasEmbeddings: false, HasHead: false)) - bytesOf(new ModelStage(0, 0, HasEmbeddings: false, HasHead: false));
        var room = new int[free.Length];
        for (int i = 0; i < room.Length; i++)
        {
            long own = bytesOf(new ModelStage(0, 0, HasEmbeddings: i == 0, HasHead: i == room.Length - 1));
            room[i] = (int)Math.Clamp((free[i] - own) / perBlock, 0, MostBlocks);
        }

        return room.Min() == 0 || room.Sum() < blocks ? null : ModelStage.Divide(Share(blocks, room));
    }

    /// <summary>At least one block each, then one after the other to whoever then has the smallest part of its room taken.</summary>
    private static int[] Share(int blocks, int[] room)
    {
        int[] taken = [.. room.Select(_ => 1)];
        for (int i = taken.Length; i < blocks; i++)
        {
            int best = -1;
            for (int j = 0; j < room.Length; j++)
            {
                // (taken[j] + 1) / room[j] < (taken[best] + 1) / room[best], in whole numbers
                if (taken[j] < room[j] && (best < 0 || (taken[j] + 1L) * room[best] < (taken[best] + 1L) * room[j]))
                {
                    best = j;
                }
            }

            taken[best]++;
        }

        return taken;
    }
}
