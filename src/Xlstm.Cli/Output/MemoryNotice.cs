using Xlstm.Checkpoints;
using Xlstm.Cli.Inspection;

namespace Xlstm.Cli.Output;

/// <summary>What a load is about to take, told before it takes it.</summary>
internal static class MemoryNotice
{
    public static string Format(Checkpoint checkpoint, LoadOptions options)
    {
        var tensors = StoredTensors.Of(checkpoint);
        var format = options.Weights ?? (tensors.Any(t => t.ElementType == ElementType.Float16) ? WeightFormat.Float32 : WeightFormat.BFloat16);
        var memory = MemoryEstimate.For(checkpoint.Config, format, options.Threads);
        return $"{checkpoint.Folder}: {Quantity.Count(tensors.Sum(t => (long)t.Rows * t.Cols))} parameters in {format.ToString().ToLowerInvariant()}, needs {Quantity.Bytes(memory.TotalBytes)} of memory";
    }
}
