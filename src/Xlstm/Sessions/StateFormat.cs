namespace Xlstm;

/// <summary>How a session's state is held, in a device's memory or in a file.</summary>
public enum StateFormat
{
    /// <summary>C, n and m in float32.</summary>
    Float32,

    /// <summary>C rounded to bfloat16, to nearest even, n and m in float32: half the size. Arithmetic stays float32; what is stored is rounded.</summary>
    BFloat16,
}

/// <summary>Sizes of a <see cref="StateFormat"/>.</summary>
internal static class StateFormatSizes
{
    /// <summary>Bytes of an element of C.</summary>
    public static int MatrixElementSize(this StateFormat format) => format == StateFormat.BFloat16 ? sizeof(ushort) : sizeof(float);
}
