using Xlstm.Checkpoints;
using Xlstm.Cli.Arguments;

namespace Xlstm.Cli.Output;

/// <summary>What a load is about to take, told before it takes it.</summary>
internal static class MemoryNotice
{
    public static string Format(Checkpoint checkpoint, LoadOptions options)
    {
        var format = options.Weights ?? XlstmModel.DefaultFormat(checkpoint);
        var memory = MemoryEstimate.For(checkpoint.Config, format, options.Threads, options.Mix);
        return $"{ShortPath(checkpoint.Folder)}: {Quantity.Count(checkpoint.Config.ParameterCount)} parameters in {format.Name()}, needs {Quantity.Bytes(memory.TotalBytes)} of memory";
    }

    /// <summary>A path as seen from the current folder, where that is shorter.</summary>
    public static string ShortPath(string path)
    {
        string relative = Path.GetRelativePath(Environment.CurrentDirectory, path);
        return relative.StartsWith("..", StringComparison.Ordinal) ? path : relative;
    }
}
