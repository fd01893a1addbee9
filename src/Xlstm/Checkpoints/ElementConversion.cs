using System.Runtime.InteropServices;

namespace Xlstm.Checkpoints;

/// <summary>float32 to what a file stores, rounded to nearest even.</summary>
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
