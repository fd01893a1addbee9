using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Xlstm.Cli.Arguments;

/// <summary>A command whose help ends with examples.</summary>
internal sealed class ToolCommand(string name, string description) : Command(name, description)
{
    public IReadOnlyList<(string Line, string Says)> Examples { get; init; } = [];

    public static HelpOption HelpOption() => new() { Description = "Show help", Action = new HelpWithExamples() };

    /// <summary>What a bare command line gets.</summary>
    public static int WriteHelp(ParseResult parsed, Command command)
    {
        HelpWithExamples.Write(command.Parse("--help"));
        return parsed.CommandResult.Command == command ? ExitCode.Success : ExitCode.Usage;
    }

    private sealed class HelpWithExamples : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            Write(parseResult);
            return ExitCode.Success;
        }

        public static void Write(ParseResult parsed)
        {
            new HelpAction().Invoke(parsed);
            if (parsed.CommandResult.Command is not ToolCommand { Examples: { Count: > 0 } examples })
            {
                return;
            }

            Console.Out.WriteLine("Examples:");
            foreach (var (line, says) in examples)
            {
                Console.Out.WriteLine($"  {line}\n      {says}");
            }

            Console.Out.WriteLine();
        }
    }
}
