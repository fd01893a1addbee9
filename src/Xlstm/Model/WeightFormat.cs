namespace Xlstm;

/// <summary>How the weight matrices are held in memory, chosen at load and independent of the dtype on disk. Norms, biases and the i/f gates are always float32.</summary>
public enum WeightFormat
{
    /// <summary>32 bits a weight: exact for every dtype a checkpoint may have.</summary>
    Float32,

    /// <summary>16 bits a weight, rounded to nearest even from float32: exact for bfloat16 checkpoints. The arithmetic stays float32.</summary>
    BFloat16,
}
