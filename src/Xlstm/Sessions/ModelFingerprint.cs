using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Xlstm.Checkpoints;

namespace Xlstm.Sessions;

/// <summary>
/// Tells models apart without reading them whole: SHA-256 over the sizes and constants that the arithmetic uses and over four
/// rows of every tensor, widened to float32. Names, files and fusion do not count, and a checkpoint widened to a larger dtype
/// stays the same model. Two models that differ in rows not sampled alone are not told apart.
/// </summary>
internal static class ModelFingerprint
{
    private const int SampledRows = 4;

    /// <summary>64 hexadecimal digits.</summary>
    public static string Of(Checkpoint checkpoint)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(Describe(checkpoint.Config)));
        Append(hash, checkpoint.Embeddings);
        foreach (BlockTensors block in checkpoint.Blocks)
        {
            CheckpointTensor?[] tensors =
            [
                block.NormMlstm, block.NormMlstmBias, block.Q, block.QBias, block.K, block.KBias, block.V, block.VBias,
                block.OGatePreact, block.OGatePreactBias, block.IGatePreact, block.IGatePreactBias, block.FGatePreact, block.FGatePreactBias,
                block.MultiheadNorm, block.MultiheadNormBias, block.OutProj, block.OutProjBias, block.NormFfn, block.NormFfnBias,
                block.ProjUpGate, block.ProjUpGateBias, block.ProjUp, block.ProjUpBias, block.ProjDown, block.ProjDownBias,
            ];
            Array.ForEach(tensors, tensor => Append(hash, tensor));
        }

        Append(hash, checkpoint.OutNorm);
        Append(hash, checkpoint.OutNormBias);
        Append(hash, checkpoint.LmHead);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static string Describe(XlstmConfig c) => string.Create(
        CultureInfo.InvariantCulture,
        $"xlstm-large D={c.EmbeddingDim} L={c.NumBlocks} H={c.NumHeads} QK={c.QkDim} VD={c.VDim} F={c.FfnDim} V={c.VocabSize} norm_eps={c.NormEps:R} eps={c.Eps:R} gate_soft_cap={c.GateSoftCap:R} output_logit_soft_cap={c.OutputLogitSoftCap:R}\n");

    private static void Append(IncrementalHash hash, CheckpointTensor? tensor)
    {
        Span<int> shape = tensor is null ? [0, 0] : [tensor.Rows, tensor.Cols];
        hash.AppendData(MemoryMarshal.AsBytes(shape));
        if (tensor is null)
        {
            return;
        }

        var raw = new byte[tensor.Cols * tensor.ElementSize];
        var values = new float[tensor.Cols];
        int samples = Math.Min(SampledRows, tensor.Rows);
        for (int i = 0; i < samples; i++)
        {
            // The first, the last and two between.
            int row = samples == 1 ? 0 : (int)((long)i * (tensor.Rows - 1) / (samples - 1));
            tensor.ReadRows(row, 1, raw);
            ElementConversion.ToFloat32(raw, tensor.ElementType, values);
            hash.AppendData(MemoryMarshal.AsBytes(values.AsSpan()));
        }
    }
}
