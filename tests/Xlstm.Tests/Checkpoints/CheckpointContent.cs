using System.Security.Cryptography;
using Xlstm.Checkpoints;

namespace Xlstm.Tests.Checkpoints;

/// <summary>The tensors of a checkpoint as its users see them, whatever its layout.</summary>
internal static class CheckpointContent
{
    public static byte[] Bytes(CheckpointTensor tensor)
    {
        byte[] bytes = new byte[tensor.Rows * tensor.Cols * tensor.ElementSize];
        tensor.ReadRows(0, tensor.Rows, bytes);
        return bytes;
    }

    /// <summary>Hash of every tensor with its role and shape: equal for two layouts of one model.</summary>
    public static string Digest(Checkpoint checkpoint)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach ((string role, CheckpointTensor tensor) in Tensors(checkpoint))
        {
            hash.AppendData(System.Text.Encoding.UTF8.GetBytes($"{role} {tensor.Rows} {tensor.Cols} {tensor.ElementType};"));
            hash.AppendData(Bytes(tensor));
        }

        return Convert.ToHexString(hash.GetHashAndReset());
    }

    private static IEnumerable<(string Role, CheckpointTensor Tensor)> Tensors(Checkpoint checkpoint)
    {
        var all = new List<(string Role, CheckpointTensor? Tensor)>
        {
            ("embeddings", checkpoint.Embeddings),
            ("out_norm", checkpoint.OutNorm),
            ("out_norm bias", checkpoint.OutNormBias),
            ("lm_head", checkpoint.LmHead),
        };
        for (int block = 0; block < checkpoint.Blocks.Count; block++)
        {
            all.AddRange(typeof(BlockTensors).GetProperties().Select(p => ($"{block} {p.Name}", (CheckpointTensor?)p.GetValue(checkpoint.Blocks[block]))));
        }

        return all.Where(entry => entry.Tensor is not null).Select(entry => (entry.Role, entry.Tensor!));
    }
}
