using System.Globalization;

namespace Xlstm.Checkpoints;

/// <summary>A weight that cannot be held.</summary>
internal static class WeightFault
{
    /// <summary>Names the file, the tensor, the place and the value.</summary>
    /// <param name="checkpoint">Whose weight it is.</param>
    /// <param name="source">The tensor.</param>
    /// <param name="row">Its row.</param>
    /// <param name="col">And column.</param>
    /// <param name="value">Not finite, or past what bfloat16 holds.</param>
    public static CheckpointException At(Checkpoint checkpoint, CheckpointTensor source, int row, int col, float value)
    {
        string file = Path.Combine(checkpoint.Folder, checkpoint.Shards[source.ShardIndex].Name);
        string found = float.IsFinite(value)
            ? string.Create(CultureInfo.InvariantCulture, $"{value:R}, which bfloat16 cannot hold (float32 can)")
            : string.Create(CultureInfo.InvariantCulture, $"{value}; weights must be finite numbers");
        return new CheckpointException($"{file}: tensor {source.Name} has at row {row}, column {col} the value {found}");
    }
}
