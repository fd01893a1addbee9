using System.Buffers;
using System.Runtime.Intrinsics;

namespace Xlstm.Checkpoints.Packed;

/// <summary>One row of an int4 matrix by itself, not yet among the others of its panel: weight = <see cref="ScaleUnit"/> scale q - <see cref="MinimumUnit"/> minimum.</summary>
/// <param name="memory"><see cref="ByteLength"/> bytes, aligned to 4.</param>
/// <param name="cols">Columns.</param>
internal readonly unsafe struct Int4Row(byte* memory, int cols)
{
    private const int GroupSize = PackedMatrix.GroupSize;

    /// <summary>Groups, a whole number of pairs.</summary>
    public int Groups { get; } = PackedMatrix.GroupCount(cols);

    /// <summary>d of docs/packed-format.md.</summary>
    public float ScaleUnit
    {
        get => ((float*)memory)[0];
        set => ((float*)memory)[0] = value;
    }

    /// <summary>dm.</summary>
    public float MinimumUnit
    {
        get => ((float*)memory)[1];
        set => ((float*)memory)[1] = value;
    }

    /// <summary>[<see cref="Groups"/>].</summary>
    public byte* Scales => memory + (2 * sizeof(float));

    /// <summary>[<see cref="Groups"/>].</summary>
    public byte* Minima => Scales + Groups;

    /// <summary>0 .. 15, [<see cref="Groups"/>, 32].</summary>
    public byte* Q => Minima + Groups;

    /// <summary>Bytes of a row of this many columns.</summary>
    public static int ByteLength(int cols) => (2 * sizeof(float)) + (PackedMatrix.GroupCount(cols) * (GroupSize + 2));

    /// <summary>The weight of a column as it is now.</summary>
    public float this[int col] => (ScaleUnit * Scales[col / GroupSize] * Q[col]) - (MinimumUnit * Minima[col / GroupSize]);

    /// <summary>Rounds to nearest, every group with the scale and minimum of least squared error.</summary>
    /// <param name="values">float32 [cols].</param>
    public void Round(ReadOnlySpan<float> values)
    {
        const int Lanes = Int4GroupFit.Lanes;
        int padded = (Groups + Lanes - 1) / Lanes * Lanes;
        float[] buffer = ArrayPool<float>.Shared.Rent(padded * (GroupSize + 2));
        Span<float> row = buffer.AsSpan(0, padded * GroupSize), scales = buffer.AsSpan(padded * GroupSize, padded), minima = buffer.AsSpan(padded * (GroupSize + 1), padded);
        values.CopyTo(row);
        row[values.Length..].Clear();
        float* x = stackalloc float[GroupSize * Lanes];
        float* w = stackalloc float[GroupSize * Lanes];
        for (int first = 0; first < padded; first += Lanes)
        {
            for (int i = 0; i < GroupSize * Lanes; i++)
            {
                int col = ((first + (i % Lanes)) * GroupSize) + (i / Lanes);
                x[i] = row[col];
                w[i] = col < values.Length ? 1 : 0;
            }

            (Vector512<float> scale, Vector512<float> minimum) = new Int4GroupFit(x, w).Best();
            scale.CopyTo(scales[first..]);
            minimum.CopyTo(minima[first..]);
        }

        float d = Largest(scales) / byte.MaxValue, dm = Largest(minima) / byte.MaxValue;
        (ScaleUnit, MinimumUnit) = (d, dm);
        fixed (float* rowPointer = row)
        {
            for (int group = 0; group < Groups; group++)
            {
                byte scale = scales[group] > 0 ? (byte)Math.Max(1, MathF.Round(scales[group] / d)) : (byte)0;
                byte minimum = minima[group] > 0 ? (byte)MathF.Round(minima[group] / dm) : (byte)0;
                (Scales[group], Minima[group]) = (scale, minimum);
                GroupQuantizer.Int4(rowPointer + (group * GroupSize), d * scale, dm * minimum, Q + (group * GroupSize));
            }
        }

        ArrayPool<float>.Shared.Return(buffer);
    }

    private static float Largest(ReadOnlySpan<float> values)
    {
        float largest = 0;
        foreach (float value in values)
        {
            largest = Math.Max(largest, value);
        }

        return largest;
    }
}
