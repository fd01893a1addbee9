using System.CommandLine;

namespace Xlstm.Cli.Arguments;

internal static class Flag
{
    /// <summary>A switch that never swallows the argument after it (<c>--greedy true</c> would, and the prompt may be "true").</summary>
    public static Option<bool> Create(string name, string description) => new(name) { Description = description, Arity = ArgumentArity.Zero };
}
