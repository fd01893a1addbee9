namespace Xlstm.Backends.Cpu;

/// <summary>Memory that weights lie in.</summary>
internal interface IWeightMemory : IDisposable
{
    /// <summary>Bytes.</summary>
    long ByteLength { get; }
}

/// <summary>A norm's weight and bias, float32 [n] each; the bias may be null.</summary>
internal readonly unsafe struct NormWeights(float* weight, float* bias)
{
    public float* Weight { get; } = weight;

    public float* Bias { get; } = bias;
}

/// <summary>A linear layer: a packed matrix [out, in] and a bias [out] or null.</summary>
internal readonly unsafe struct LinearWeights(PackedMatrix matrix, float* bias)
{
    public PackedMatrix Matrix { get; } = matrix;

    public float* Bias { get; } = bias;
}

/// <summary>The weights of one block, in the checkpoint's names. The i and f gates are one float32 matrix of 2 H rows, i first.</summary>
internal sealed class CpuBlockWeights
{
    public required NormWeights NormMlstm { get; init; }

    public required LinearWeights Q { get; init; }

    public required LinearWeights K { get; init; }

    public required LinearWeights V { get; init; }

    public required LinearWeights OGatePreact { get; init; }

    public required LinearWeights IfGatePreact { get; init; }

    public required NormWeights MultiheadNorm { get; init; }

    public required LinearWeights OutProj { get; init; }

    public required NormWeights NormFfn { get; init; }

    public required LinearWeights ProjUpGate { get; init; }

    public required LinearWeights ProjUp { get; init; }

    public required LinearWeights ProjDown { get; init; }
}

/// <summary>All weights of a model in one piece of memory.</summary>
internal sealed class CpuWeights : IDisposable
{
    /// <summary>How the matrices are held.</summary>
    public required WeightRecipe Recipe { get; init; }

    /// <summary>What holds them all, memory or a mapped file; released with the weights.</summary>
    public IWeightMemory? Memory { get; set; }

    /// <summary>Bytes held.</summary>
    public long ByteLength => Memory?.ByteLength ?? 0;

    /// <summary>[V, D]; where embeddings are tied, the same memory as <see cref="LmHead"/>.</summary>
    public required PackedMatrix Embeddings { get; init; }

    public required CpuBlockWeights[] Blocks { get; init; }

    /// <summary>The weight is null when the model has no out_norm.</summary>
    public required NormWeights OutNorm { get; init; }

    /// <summary>[V, D].</summary>
    public required PackedMatrix LmHead { get; init; }

    /// <inheritdoc/>
    public void Dispose() => Memory?.Dispose();
}
