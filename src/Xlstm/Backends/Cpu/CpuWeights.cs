using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;
using Xlstm.Memory;

namespace Xlstm.Backends.Cpu;

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

/// <summary>All weights of a model, bound to the memory that holds them.</summary>
internal sealed class CpuWeights : IDisposable
{
    private readonly IWeightMemory _memory;
    private readonly PackedLayout _layout;

    /// <param name="layout">Where the weights lie.</param>
    /// <param name="memory">What holds them; released with the weights.</param>
    public CpuWeights(PackedLayout layout, IWeightMemory memory)
    {
        (_layout, _memory) = (layout, memory);
        Embeddings = Matrix(TensorMap.NoBlock, TensorRole.Embeddings);
        Blocks = [.. Enumerable.Range(0, layout.Config.NumBlocks).Select(Block)];
        OutNorm = layout.Config.AddOutNorm ? Norm(TensorMap.NoBlock, TensorRole.OutNorm) : default;
        LmHead = layout.Config.TieWordEmbeddings ? Embeddings : Matrix(TensorMap.NoBlock, TensorRole.LmHead);
    }

    /// <summary>The model's sizes.</summary>
    public XlstmConfig Config => _layout.Config;

    /// <summary>How the matrices are held.</summary>
    public WeightRecipe Recipe => _layout.Recipe;

    /// <summary>Bytes held.</summary>
    public long ByteLength => _memory.ByteLength;

    /// <summary>Bytes of them that every step of decoding reads whole.</summary>
    public long StepByteLength => Config.TieWordEmbeddings ? ByteLength : ByteLength - _layout.Get(TensorMap.NoBlock, TensorRole.Embeddings).ByteLength;

    /// <summary>[V, D]; where embeddings are tied, the same memory as <see cref="LmHead"/>.</summary>
    public PackedMatrix Embeddings { get; }

    public CpuBlockWeights[] Blocks { get; }

    /// <summary>The weight is null when the model has no out_norm.</summary>
    public NormWeights OutNorm { get; }

    /// <summary>[V, D].</summary>
    public PackedMatrix LmHead { get; }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    private CpuBlockWeights Block(int block) => new()
    {
        NormMlstm = Norm(block, TensorRole.NormMlstm),
        Q = Linear(block, TensorRole.Q),
        K = Linear(block, TensorRole.K),
        V = Linear(block, TensorRole.V),
        OGatePreact = Linear(block, TensorRole.OGatePreact),
        IfGatePreact = Linear(block, TensorRole.IGatePreact),
        MultiheadNorm = Norm(block, TensorRole.MultiheadNorm),
        OutProj = Linear(block, TensorRole.OutProj),
        NormFfn = Norm(block, TensorRole.NormFfn),
        ProjUpGate = Linear(block, TensorRole.ProjUpGate),
        ProjUp = Linear(block, TensorRole.ProjUp),
        ProjDown = Linear(block, TensorRole.ProjDown),
    };

    private unsafe PackedMatrix Matrix(int block, TensorRole role) => _layout.Get(block, role).Matrix(_memory.Pointer);

    private unsafe LinearWeights Linear(int block, TensorRole role) => new(Matrix(block, role), Bias(block, role));

    private unsafe NormWeights Norm(int block, TensorRole role) => new(_layout.Get(block, role).Vector(_memory.Pointer), Bias(block, role));

    private unsafe float* Bias(int block, TensorRole role)
    {
        PackedTensor? bias = _layout.Find(block, role, isBias: true);
        return bias is null ? null : bias.Vector(_memory.Pointer);
    }
}
