namespace Xlstm.Checkpoints;

/// <summary>
/// Normally distributed numbers that depend on a key and an index alone, so that any range of a tensor can be made on any thread, and
/// the same on every machine.
/// </summary>
internal static class NormalNoise
{
    private const ulong GoldenGamma = 0x9E3779B97F4A7C15;
    private const ulong Stride = unchecked(2 * GoldenGamma);
    private const ulong EvenLanes = 0x0000FFFF_0000FFFF;
    private const int Lanes = 8;
    private const uint LaneMax = ushort.MaxValue;

    // Standard deviation of a sum of eight uniform 16-bit integers.
    private static readonly float SumDeviation = (float)Math.Sqrt(Lanes * ((Math.Pow(LaneMax + 1.0, 2) - 1) / 12));

    /// <summary>
    /// Fills <paramref name="destination"/> with elements <paramref name="first"/>... of the sequence. Each is the sum of eight uniform
    /// 16-bit integers (the central limit: excess kurtosis -0.15, no value beyond 4.9 deviations), exact in integers up to one
    /// multiplication, hence the same everywhere.
    /// </summary>
    /// <param name="key">Names the sequence.</param>
    /// <param name="first">Index of the first element.</param>
    /// <param name="deviation">Standard deviation; the mean is 0.</param>
    /// <param name="destination">[n].</param>
    public static void Fill(ulong key, long first, float deviation, Span<float> destination)
    {
        float scale = deviation / SumDeviation;
        ulong counter = key + ((ulong)first * Stride);
        for (int i = 0; i < destination.Length; i++)
        {
            ulong a = Mix(counter);
            ulong b = Mix(counter + GoldenGamma);
            counter += Stride;
            ulong pairs = (a & EvenLanes) + ((a >> 16) & EvenLanes) + (b & EvenLanes) + ((b >> 16) & EvenLanes);
            int sum = (int)(uint)pairs + (int)(pairs >> 32);
            destination[i] = (sum - (int)(Lanes / 2 * LaneMax)) * scale;
        }
    }

    /// <summary>The output function of SplitMix64 (Steele, Lea, Flood 2014; constants of Stafford's Mix13).</summary>
    public static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
