using System.Runtime.InteropServices;

namespace Xlstm.Checkpoints;

/// <summary>Between float32 and what a file stores: rounded to nearest even one way, exact the other.</summary>
internal static class ElementConversion
{
    /// <param name="values">[n].</param>
    /// <param name="type">What to store.</param>
    /// <param name="destination">n elements of <paramref name="type"/>, little-endian.</param>
    public static void FromFloat32(ReadOnlySpan<float> values, ElementType type, Span<byte> destination)
    {
        if (!BitConverter.IsLittleEndian)
        {
            throw new PlatformNotSupportedException("Checkpoints are little-endian, and so must the machine be.");
        }

        switch (type)
        {
            case ElementType.Float32:
                MemoryMarshal.AsBytes(values).CopyTo(destination);
                break;
            case ElementType.BFloat16:
                ToBFloat16(values, MemoryMarshal.Cast<byte, ushort>(destination));
                break;
            case ElementType.Float16:
                ToFloat16(values, MemoryMarshal.Cast<byte, Half>(destination));
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(type));
        }
    }

    /// <param name="source">n elements of <paramref name="type"/>, little-endian.</param>
    /// <param name="type">What is stored.</param>
    /// <param name="values">[n].</param>
    public static void ToFloat32(ReadOnlySpan<byte> source, ElementType type, Span<float> values)
    {
        switch (type)
        {
            case ElementType.Float32:
                MemoryMarshal.Cast<byte, float>(source).CopyTo(values);
                break;
            case ElementType.BFloat16:
                ReadOnlySpan<ushort> upper = MemoryMarshal.Cast<byte, ushort>(source);
                for (int i = 0; i < values.Length; i++)
                {
                    values[i] = BitConverter.UInt32BitsToSingle((uint)upper[i] << 16);
                }

                break;
            case ElementType.Float16:
                ReadOnlySpan<Half> halves = MemoryMarshal.Cast<byte, Half>(source);
                for (int i = 0; i < values.Length; i++)
                {
                    values[i] = (float)halves[i];
                }

                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(type), type, null);
        }
    }

    private static void ToBFloat16(ReadOnlySpan<float> values, Span<ushort> destination)
    {
        destination = destination[..values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            uint bits = BitConverter.SingleToUInt32Bits(values[i]);

            // A NaN keeps its upper bits and stays a NaN: rounding up could carry it into infinity.
            destination[i] = float.IsNaN(values[i]) ? (ushort)((bits >> 16) | 0x40) : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
        }
    }

    private static void ToFloat16(ReadOnlySpan<float> values, Span<Half> destination)
    {
        destination = destination[..values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            destination[i] = (Half)values[i];
        }
    }
}
