using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cpu;

/// <summary>
/// Mean squares of what the matrices of a model are multiplied with, gathered while it reads text. A weight's rounding error
/// enters the output times its column's activation, so these say how much an error in each column matters.
/// </summary>
internal sealed class ActivationStatistics
{
    private readonly double[][][] _sums;
    private readonly Lock _turn = new();

    public ActivationStatistics(XlstmConfig config)
    {
        _sums = [.. Enumerable.Range(0, config.NumBlocks).Select(_ => new[]
        {
            new double[config.EmbeddingDim], new double[config.VDim], new double[config.EmbeddingDim], new double[config.FfnDim],
        })];
    }

    /// <summary>Adds one token's input of some matrices. Thread-safe.</summary>
    /// <param name="block">The block.</param>
    /// <param name="input">Which of its inputs.</param>
    /// <param name="row">float32 [K].</param>
    public void Add(int block, MatrixInput input, ReadOnlySpan<float> row)
    {
        lock (_turn)
        {
            double[] sums = _sums[block][(int)input];
            for (int k = 0; k < row.Length; k++)
            {
                sums[k] += (double)row[k] * row[k];
            }
        }
    }

    /// <summary>How much an error in each column of a matrix matters, relative to the mean, float32 [K]; never quite zero, so that silent columns are not ruined. Null for matrices outside the blocks.</summary>
    public float[]? Importance(PackedTensor matrix)
    {
        if (matrix.Block == TensorMap.NoBlock)
        {
            return null;
        }

        MatrixInput input = matrix.Role switch
        {
            TensorRole.OutProj => MatrixInput.GatedHeads,
            TensorRole.ProjUpGate or TensorRole.ProjUp => MatrixInput.NormFfn,
            TensorRole.ProjDown => MatrixInput.SwiGlu,
            _ => MatrixInput.NormMlstm,
        };
        double[] sums = _sums[matrix.Block][(int)input];
        double mean = Math.Max(sums.Average(), 1e-30);
        return [.. sums.Select(sum => (float)((sum / mean) + Floor))];
    }

    private const double Floor = 1e-3;
}

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
