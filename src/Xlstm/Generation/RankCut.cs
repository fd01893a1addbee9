namespace Xlstm.Generation;

/// <summary>
/// Where a ranking is cut. Candidates rank by value, highest first, and equal values by their place in the buffer (the lowest
/// id first); top-k, top-p and min-p all keep a prefix of that ranking, so a value and a remainder among its equals say it all.
/// </summary>
/// <param name="Value">Values above it are kept, values below it are not.</param>
/// <param name="WeightAtValue">Candidates of exactly this value are kept, in order, until their weights reach this sum.</param>
internal readonly record struct RankCut(float Value, double WeightAtValue)
{
    private const int Buckets = 1 << 11;

    /// <summary>
    /// Finds the shortest prefix of the ranking whose weights reach a sum. A radix selection: linear in the number of
    /// candidates whatever their values, and nothing is sorted or moved.
    /// </summary>
    /// <param name="values">Values, [count], none of them NaN.</param>
    /// <param name="weights">Weights of the candidates, [count], none negative; empty weighs each of them 1.</param>
    /// <param name="target">The sum to reach; above 0, at most the sum of all weights.</param>
    public static RankCut Find(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, double target)
    {
        Span<double> sums = stackalloc double[Buckets];
        uint key = 0;
        uint known = 0;
        foreach (int shift in (ReadOnlySpan<int>)[21, 10, 0])
        {
            sums.Clear();
            for (int i = 0; i < values.Length; i++)
            {
                uint candidate = Key(values[i]);
                if ((candidate & known) == key)
                {
                    sums[(int)((candidate & ~known) >> shift)] += weights.IsEmpty ? 1 : weights[i];
                }
            }

            // Sums over other groupings round differently: should the target slip past the last bucket, that bucket has the cut.
            int bucket = 0;
            for (int b = Buckets - 1; b >= 0; b--)
            {
                if (sums[b] > 0)
                {
                    bucket = b;
                    if (target <= sums[b])
                    {
                        break;
                    }

                    target -= sums[b];
                }
            }

            key |= (uint)bucket << shift;
            known = uint.MaxValue << shift;
        }

        return new RankCut(Value: FromKey(key), WeightAtValue: target);
    }

    /// <summary>Unsigned integers in the order of the floats; both zeros are one.</summary>
    private static uint Key(float value)
    {
        int bits = BitConverter.SingleToInt32Bits(value + 0f);
        return (uint)(bits ^ ((bits >> 31) | int.MinValue));
    }

    private static float FromKey(uint key)
    {
        int flipped = (int)key;
        return BitConverter.Int32BitsToSingle(flipped ^ (~(flipped >> 31) | int.MinValue));
    }
}
