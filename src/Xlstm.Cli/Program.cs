using System.CommandLine;
using Xlstm.Cli.Arguments;
using Xlstm.Cli.Commands;
using Xlstm.Cli.Output;

namespace Xlstm.Cli;

/// <summary>The <c>xlstm</c> command: parses, runs, and turns every way of failing into one line and an exit code.</summary>
internal static class Program
{
    public static async Task<int> Main(string[] args)
    {
        Terminal.UseUtf8();
        var verbose = new Option<bool>(ModelArguments.VerboseName)
        {
            Description = "Say more on stderr: config, device, memory; a stack trace with an error",
            Arity = ArgumentArity.Zero,
            Recursive = true,
        };
        var root = new ToolCommand("xlstm", "Run xLSTM language models: on this machine, with constant memory.")
        {
            Examples =
            [
                ("xlstm generate \"Once upon a time\"", "continue a text"),
                ("xlstm chat", "talk with a model"),
                ("xlstm inspect --model DIR", "what a checkpoint is and needs"),
                ("xlstm COMMAND --help", "options and examples of a command"),
            ],
        };
        root.Add(ToolCommand.HelpOption());
        root.Add(new VersionOption());
        root.Add(verbose);
        root.Add(GenerateCommand.Create());
        root.Add(ChatCommand.Create());
        root.Add(TokenizeCommand.Create());
        root.Add(InspectCommand.Create());
        root.Add(LogitsCommand.Create());
        root.Add(PerplexityCommand.Create());
        root.Add(BenchCommand.Create());
        root.Add(SynthesizeCommand.Create());
        root.Add(QuantizeCommand.Create());
        root.Add(DevicesCommand.Create());
        root.SetAction(parsed => ToolCommand.WriteHelp(parsed, root));

        // Without this a prompt that starts with "@" would be read as the name of a file of arguments.
        var parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (ParseErrors.Find(parsed) is { } wrong)
        {
            return UsageError(parsed, wrong);
        }

        using var interrupt = new Interrupt();
        try
        {
            var configuration = new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
            int code = await parsed.InvokeAsync(configuration, interrupt.Token).ConfigureAwait(false);
            return interrupt.ExitCode ?? code;
        }
        catch (OperationCanceledException) when (interrupt.ExitCode is not null)
        {
            return interrupt.ExitCode.Value;
        }
        catch (OutputClosedException)
        {
            // The reader of the pipe (head, less) has what it wanted: not an error.
            return ExitCode.Success;
        }
        catch (UsageException e)
        {
            return UsageError(parsed, e.Message);
        }
        catch (Exception e)
        {
            string message = e switch
            {
                XlstmException or IOException or UnauthorizedAccessException => e.Message,
                OutOfMemoryException => "out of memory: " + e.Message,
                _ => $"internal error, please report it: {e.GetType().Name}: {e.Message}",
            };
            Terminal.WriteError(message);
            if (parsed.GetValue(verbose))
            {
                Console.Error.WriteLine(e);
            }

            return ExitCode.BadInput;
        }
    }

    private static int UsageError(ParseResult parsed, string message)
    {
        Terminal.WriteError(message);
        string command = parsed.CommandResult.Command is { Name: not "xlstm" } sub ? "xlstm " + sub.Name : "xlstm";
        Console.Error.WriteLine($"Try '{command} --help'.");
        return ExitCode.Usage;
    }
}
