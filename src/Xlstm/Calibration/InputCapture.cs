namespace Xlstm.Calibration;

/// <summary>The inputs of a block's matrices, in the order of the forward pass.</summary>
internal enum MatrixInput
{
    /// <summary>RMSNorm of the residual stream: q, k, v, o and the gates.</summary>
    NormMlstm,

    /// <summary>sigmoid(o) times multihead_norm(h): out_proj.</summary>
    GatedHeads,

    /// <summary>RMSNorm of the residual stream: proj_up_gate and proj_up.</summary>
    NormFfn,

    /// <summary>silu(gate) times up: proj_down.</summary>
    SwiGlu,
}

/// <summary>Asks a forward pass to go as far as one input of a block and to keep it.</summary>
/// <param name="Input">Which input.</param>
/// <param name="Rows">Where it goes.</param>
internal sealed record InputCapture(MatrixInput Input, ActivationRows Rows);
