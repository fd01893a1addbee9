using System.CommandLine;
using Xlstm.Checkpoints;
using Xlstm.Cli.Arguments;
using Xlstm.Cli.Inspection;
using Xlstm.Cli.Output;

namespace Xlstm.Cli.Commands;

/// <summary><c>xlstm inspect</c>: what a checkpoint is and needs. It reads headers, config and tokenizer, no weights.</summary>
internal sealed class InspectCommand
{
    private readonly Option<string?> _model = ModelArguments.ModelOption();
    private readonly Option<bool> _json = Flag.Create("--json", "Print one JSON object");
    private readonly Option<bool> _showConfig = Flag.Create("--show-config", "Print only the configuration, in the form of the official Python package");

    public static Command Create()
    {
        var arguments = new InspectCommand();
        var command = new ToolCommand("inspect", "Tell what a checkpoint is and what it needs, without loading it.")
        {
            Examples =
            [
                ("xlstm inspect --model ~/models/xLSTM-7b", "sizes, files, memory by weight format, tokenizer, warnings"),
                ("xlstm inspect --json | jq .memory.bfloat16.total_bytes", "for programs"),
            ],
        };
        command.Add(arguments._model);
        command.Add(arguments._showConfig);
        command.Add(arguments._json);
        command.SetAction(arguments.Run);
        return command;
    }

    private int Run(ParseResult parsed)
    {
        if (parsed.GetValue(_json) && parsed.GetValue(_showConfig))
        {
            throw new UsageException("--json and --show-config exclude each other");
        }

        using var checkpoint = Checkpoint.Open(ModelLocator.Find(parsed.GetValue(_model)));
        using var output = new TextOutput();
        output.Write(parsed.GetValue(_showConfig) ? ConfigBlock.Format(checkpoint.Config, checkpoint.RawConfig) + "\n"
            : parsed.GetValue(_json) ? CheckpointReport.Of(checkpoint).ToJson() + "\n"
            : ReportText.Of(CheckpointReport.Of(checkpoint)));
        return ExitCode.Success;
    }
}
