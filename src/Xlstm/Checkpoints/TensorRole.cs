namespace Xlstm.Checkpoints;

/// <summary>What a matrix or norm weight does in the model; its bias has the same role.</summary>
internal enum TensorRole
{
    Embeddings,
    NormMlstm,
    Q,
    K,
    V,
    OGatePreact,
    IGatePreact,
    FGatePreact,
    MultiheadNorm,
    OutProj,
    NormFfn,
    ProjUpGate,
    ProjUp,
    ProjDown,
    OutNorm,
    LmHead,
}
