namespace Xlstm.Checkpoints;

/// <summary>The tensors of one block, whether they are stored one by one or fused. D, QK, VD, F, H as in <see cref="XlstmConfig"/>.</summary>
public sealed class BlockTensors
{
    internal BlockTensors(TensorMap tensors, int block)
    {
        CheckpointTensor Weight(TensorRole role) => tensors.Get(block, role, isBias: false);
        CheckpointTensor? Bias(TensorRole role) => tensors.Find(block, role, isBias: true);

        NormMlstm = Weight(TensorRole.NormMlstm);
        Q = Weight(TensorRole.Q);
        K = Weight(TensorRole.K);
        V = Weight(TensorRole.V);
        OGatePreact = Weight(TensorRole.OGatePreact);
        IGatePreact = Weight(TensorRole.IGatePreact);
        FGatePreact = Weight(TensorRole.FGatePreact);
        MultiheadNorm = Weight(TensorRole.MultiheadNorm);
        OutProj = Weight(TensorRole.OutProj);
        NormFfn = Weight(TensorRole.NormFfn);
        ProjUpGate = Weight(TensorRole.ProjUpGate);
        ProjUp = Weight(TensorRole.ProjUp);
        ProjDown = Weight(TensorRole.ProjDown);

        NormMlstmBias = Bias(TensorRole.NormMlstm);
        QBias = Bias(TensorRole.Q);
        KBias = Bias(TensorRole.K);
        VBias = Bias(TensorRole.V);
        OGatePreactBias = Bias(TensorRole.OGatePreact);
        IGatePreactBias = tensors.Get(block, TensorRole.IGatePreact, isBias: true);
        FGatePreactBias = tensors.Get(block, TensorRole.FGatePreact, isBias: true);
        MultiheadNormBias = Bias(TensorRole.MultiheadNorm);
        OutProjBias = Bias(TensorRole.OutProj);
        NormFfnBias = Bias(TensorRole.NormFfn);
        ProjUpGateBias = Bias(TensorRole.ProjUpGate);
        ProjUpBias = Bias(TensorRole.ProjUp);
        ProjDownBias = Bias(TensorRole.ProjDown);
    }

    /// <summary>Weight of the RMSNorm before the mLSTM layer [1, D].</summary>
    public CheckpointTensor NormMlstm { get; }

    /// <summary>Queries [QK, D], rows head-major.</summary>
    public CheckpointTensor Q { get; }

    /// <summary>Keys [QK, D], rows head-major.</summary>
    public CheckpointTensor K { get; }

    /// <summary>Values [VD, D], rows head-major.</summary>
    public CheckpointTensor V { get; }

    /// <summary>Output gate [VD, D].</summary>
    public CheckpointTensor OGatePreact { get; }

    /// <summary>Input gate [H, D].</summary>
    public CheckpointTensor IGatePreact { get; }

    /// <summary>Forget gate [H, D].</summary>
    public CheckpointTensor FGatePreact { get; }

    /// <summary>Weight of the LayerNorm over each head's values [1, VD].</summary>
    public CheckpointTensor MultiheadNorm { get; }

    /// <summary>Output projection [D, VD].</summary>
    public CheckpointTensor OutProj { get; }

    /// <summary>Weight of the RMSNorm before the feed-forward layer [1, D].</summary>
    public CheckpointTensor NormFfn { get; }

    /// <summary>Gate of the feed-forward layer [F, D].</summary>
    public CheckpointTensor ProjUpGate { get; }

    /// <summary>Up projection [F, D].</summary>
    public CheckpointTensor ProjUp { get; }

    /// <summary>Down projection [D, F].</summary>
    public CheckpointTensor ProjDown { get; }

    /// <summary>Bias of <see cref="NormMlstm"/> [1, D], added after the weight; null without <see cref="XlstmConfig.UseBias"/>.</summary>
    public CheckpointTensor? NormMlstmBias { get; }

    /// <summary>Bias of <see cref="Q"/> [1, QK]; null without <see cref="XlstmConfig.UseBias"/>.</summary>
    public CheckpointTensor? QBias { get; }

    /// <summary>Bias of <see cref="K"/> [1, QK]; null without <see cref="XlstmConfig.UseBias"/>.</summary>
    public CheckpointTensor? KBias { get; }

    /// <summary>Bias of <see cref="V"/> [1, VD]; null without <see cref="XlstmConfig.UseBias"/>.</summary>
    public CheckpointTensor? VBias { get; }

    /// <summary>Bias of <see cref="OGatePreact"/> [1, VD]; null without <see cref="XlstmConfig.UseBias"/>.</summary>
    public CheckpointTensor? OGatePreactBias { get; }

    /// <summary>Bias of <see cref="IGatePreact"/> [1, H]; always there.</summary>
    public CheckpointTensor IGatePreactBias { get; }

    /// <summary>Bias of <see cref="FGatePreact"/> [1, H]; always there.</summary>
    public CheckpointTensor FGatePreactBias { get; }

    /// <summary>Bias of <see cref="MultiheadNorm"/> [1, VD], added after the weight; null without <see cref="XlstmConfig.UseBias"/>.</summary>
    public CheckpointTensor? MultiheadNormBias { get; }

    /// <summary>Bias of <see cref="OutProj"/> [1, D]; null without <see cref="XlstmConfig.UseBias"/>.</summary>
    public CheckpointTensor? OutProjBias { get; }

    /// <summary>Bias of <see cref="NormFfn"/> [1, D], added after the weight; null without <see cref="XlstmConfig.UseBias"/>.</summary>
    public CheckpointTensor? NormFfnBias { get; }

    /// <summary>Bias of <see cref="ProjUpGate"/> [1, F]; null without <see cref="XlstmConfig.UseBias"/>.</summary>
    public CheckpointTensor? ProjUpGateBias { get; }

    /// <summary>Bias of <see cref="ProjUp"/> [1, F]; null without <see cref="XlstmConfig.UseBias"/>.</summary>
    public CheckpointTensor? ProjUpBias { get; }

    /// <summary>Bias of <see cref="ProjDown"/> [1, D]; null without <see cref="XlstmConfig.UseBias"/>.</summary>
    public CheckpointTensor? ProjDownBias { get; }
}
