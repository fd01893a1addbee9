using Xlstm.Checkpoints;

namespace Xlstm.Cli.Inspection;

/// <summary>Every tensor of a checkpoint, in the order in which a token meets them.</summary>
internal static class StoredTensors
{
    public static IReadOnlyList<CheckpointTensor> Of(Checkpoint checkpoint) =>
        [.. ((CheckpointTensor?[])[checkpoint.Embeddings, .. checkpoint.Blocks.SelectMany(Of), checkpoint.OutNorm, checkpoint.OutNormBias, checkpoint.LmHead]).OfType<CheckpointTensor>()];

    private static IEnumerable<CheckpointTensor?> Of(BlockTensors b) =>
    [
        b.NormMlstm, b.NormMlstmBias, b.Q, b.QBias, b.K, b.KBias, b.V, b.VBias, b.OGatePreact, b.OGatePreactBias,
        b.IGatePreact, b.IGatePreactBias, b.FGatePreact, b.FGatePreactBias, b.MultiheadNorm, b.MultiheadNormBias,
        b.OutProj, b.OutProjBias, b.NormFfn, b.NormFfnBias, b.ProjUpGate, b.ProjUpGateBias, b.ProjUp, b.ProjUpBias, b.ProjDown, b.ProjDownBias,
    ];
}
