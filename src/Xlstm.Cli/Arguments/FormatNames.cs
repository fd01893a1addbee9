using System.CommandLine;

namespace Xlstm.Cli.Arguments;

/// <summary>The values of a format by the names that options, tables and JSON give them: those of the enumeration, in lower case.</summary>
internal static class FormatNames<T>
    where T : struct, Enum
{
    private static readonly T[] All = Enum.GetValues<T>();

    /// <summary>All names, for help and errors.</summary>
    public static string Names { get; } = string.Join(", ", All[..^1].Select(Name)) + " or " + Name(All[^1]);

    public static string Name(T format) => format.ToString().ToLowerInvariant();

    /// <summary>An option that names a format; null when it is not given.</summary>
    public static Option<T?> Option(string name, string description)
    {
        var option = new Option<T?>(name) { HelpName = "FORMAT", Description = description };
        option.CustomParser = result =>
        {
            if (Find(result.Tokens[^1].Value) is { } format)
            {
                return format;
            }

            result.AddError($"{name} {result.Tokens[^1].Value}: expected {Names}");
            return null;
        };
        return option;
    }

    /// <summary>The format of a name in any case; null when there is none.</summary>
    public static T? Find(string name)
    {
        int index = Array.FindIndex(All, format => Name(format).Equals(name, StringComparison.OrdinalIgnoreCase));
        return index < 0 ? null : All[index];
    }
}
