namespace Xlstm.Checkpoints;

/// <summary>What a model's tensor is made of on disk. Every value widens exactly to float32.</summary>
public enum ElementType
{
    /// <summary>IEEE 754 binary32, safetensors' F32.</summary>
    Float32,

    /// <summary>The upper 16 bits of a binary32, safetensors' BF16.</summary>
    BFloat16,

    /// <summary>IEEE 754 binary16, safetensors' F16.</summary>
    Float16,
}
