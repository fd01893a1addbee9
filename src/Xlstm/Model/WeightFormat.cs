namespace Xlstm;

/// <summary>How the weight matrices are held in memory, chosen at load and independent of the dtype on disk. Norms, biases and the i/f gates are always float32.</summary>
public enum WeightFormat
{
    /// <summary>32 bits a weight: exact for every dtype a checkpoint may have.</summary>
    Float32,

    /// <summary>16 bits a weight, rounded to nearest even from float32: exact for bfloat16 checkpoints. The arithmetic stays float32.</summary>
    BFloat16,

    /// <summary>
    /// 8.5 bits a weight: signed bytes with a bfloat16 scale for each group of 32 columns. Activations are quantized to 8 bits
    /// in the same groups.
    /// </summary>
    Int8,

    /// <summary>
    /// 4.5 bits a weight: unsigned nibbles with an 8-bit scale and an 8-bit minimum for each group of 32 columns, relative to a
    /// pair of float32 a row. Embedding and lm_head are held as <see cref="Int8"/>. Activations are quantized to 8 bits.
    /// </summary>
    Int4,
}
