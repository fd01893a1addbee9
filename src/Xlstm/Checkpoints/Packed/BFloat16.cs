namespace Xlstm.Checkpoints.Packed;

/// <summary>bfloat16: the upper half of a float32.</summary>
internal static class BFloat16
{
    /// <summary>Rounds to nearest, ties to even. A finite value past the largest bfloat16 becomes infinite; NaN stays NaN.</summary>
    public static ushort Round(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value)
            ? (ushort)((bits >> 16) | 0x40) // the carry below could turn a NaN into an infinity
            : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    /// <summary>Exact.</summary>
    public static float Widen(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);
}
