using System.CommandLine;

namespace Xlstm.Cli.Arguments;

/// <summary>Weight formats by their names.</summary>
internal static class WeightFormats
{
    /// <inheritdoc cref="FormatNames{T}.Names"/>
    public static string Names => FormatNames<WeightFormat>.Names;

    public static string Name(this WeightFormat format) => FormatNames<WeightFormat>.Name(format);

    /// <inheritdoc cref="FormatNames{T}.Option"/>
    public static Option<WeightFormat?> Option(string name, string description) => FormatNames<WeightFormat>.Option(name, description);

    /// <inheritdoc cref="FormatNames{T}.Find"/>
    public static WeightFormat? Find(string name) => FormatNames<WeightFormat>.Find(name);
}
