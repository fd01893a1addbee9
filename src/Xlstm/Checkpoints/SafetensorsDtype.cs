using System.Collections.Frozen;

namespace Xlstm.Checkpoints;

/// <summary>The dtypes of the safetensors format (https://github.com/huggingface/safetensors, enum Dtype): names and bits an element.</summary>
internal static class SafetensorsDtype
{
    private static readonly FrozenDictionary<string, int> BitsByName = new Dictionary<string, int>(StringComparer.Ordinal)
    {
        ["BOOL"] = 8,
        ["F4"] = 4,
        ["F6_E2M3"] = 6,
        ["F6_E3M2"] = 6,
        ["U8"] = 8,
        ["I8"] = 8,
        ["F8_E5M2"] = 8,
        ["F8_E4M3"] = 8,
        ["F8_E8M0"] = 8,
        ["F8_E4M3FNUZ"] = 8,
        ["F8_E5M2FNUZ"] = 8,
        ["I16"] = 16,
        ["U16"] = 16,
        ["F16"] = 16,
        ["BF16"] = 16,
        ["I32"] = 32,
        ["U32"] = 32,
        ["F32"] = 32,
        ["C64"] = 64,
        ["F64"] = 64,
        ["I64"] = 64,
        ["U64"] = 64,
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>Bits of one element; false when the format has no such dtype.</summary>
    public static bool TryGetBits(string dtype, out int bits) => BitsByName.TryGetValue(dtype, out bits);

    /// <summary>The model dtype of that name, or null when a model's tensor cannot have it.</summary>
    public static ElementType? ToElementType(string dtype) => dtype switch
    {
        "F32" => ElementType.Float32,
        "BF16" => ElementType.BFloat16,
        "F16" => ElementType.Float16,
        _ => null,
    };

    /// <summary>The name of a model dtype.</summary>
    public static string NameOf(ElementType type) => type switch
    {
        ElementType.Float32 => "F32",
        ElementType.BFloat16 => "BF16",
        ElementType.Float16 => "F16",
        _ => throw new ArgumentOutOfRangeException(nameof(type)),
    };

    /// <summary>Bytes of one element of a model dtype.</summary>
    public static int SizeOf(ElementType type) => type == ElementType.Float32 ? 4 : 2;
}
