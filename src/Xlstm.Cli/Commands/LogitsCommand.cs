using System.CommandLine;
using Xlstm.Checkpoints;
using Xlstm.Cli.Arguments;
using Xlstm.Cli.Output;

namespace Xlstm.Cli.Commands;

/// <summary><c>xlstm logits</c>: the logits after every token, in a file that Python reads, for comparing with another implementation.</summary>
internal sealed class LogitsCommand
{
    private readonly Option<string?> _ids = new("--ids") { HelpName = "IDS", Description = "Token ids such as 0,5,7, fed as they are" };
    private readonly Option<string?> _idsFile = new("--ids-file") { HelpName = "FILE", Description = "Read the token ids from a file; \"-\" is stdin" };
    private readonly Option<string> _output = new("--output", "-o") { HelpName = "FILE", Description = "The safetensors file to write", Required = true };
    private readonly ModelArguments _model = new();

    public static Command Create()
    {
        var arguments = new LogitsCommand();
        var command = new ToolCommand("logits", "Write the logits after every token to a safetensors file: \"logits\", float32 [tokens, vocabulary].")
        {
            Examples =
            [
                ("xlstm logits --ids 0,5,7 --weights float32 --output logits.safetensors", "exact weights, for comparing with PyTorch"),
                ("xlstm tokenize --bos < text.txt | xlstm logits --ids-file - --output logits.safetensors", "of a text"),
            ],
        };
        command.Add(arguments._ids);
        command.Add(arguments._idsFile);
        command.Add(arguments._output);
        arguments._model.AddTo(command);
        command.SetAction(arguments.RunAsync);
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var (text, file) = (parsed.GetValue(_ids), parsed.GetValue(_idsFile));
        if ((text is null) == (file is null))
        {
            throw new UsageException("give --ids or --ids-file");
        }

        string source = text is not null ? "--ids" : InputText.Name(file!);
        int[] ids = text is not null ? TokenIds.Parse(text, source) : await TokenIds.ReadAsync(file!, cancellationToken).ConfigureAwait(false);
        if (ids.Length == 0)
        {
            throw new XlstmException($"{source}: no token ids");
        }

        string path = parsed.GetRequiredValue(_output);

        var (model, _) = _model.Load(_model.Folder(parsed), parsed, cancellationToken);
        using (model)
        {
            int vocabSize = model.Config.VocabSize;
            TokenIds.Check(ids, vocabSize, source);
            using var writer = SafetensorsWriter.Create(path, [new SafetensorsTensorSpec("logits", ElementType.Float32, [ids.Length, vocabSize])]);
            using var session = model.CreateSession();
            using var bar = new ProgressBar("Computing logits", "tok", TimeSpan.FromSeconds(1), keep: false);
            session.AppendWithLogits(
                ids,
                (index, logits) =>
                {
                    writer.Write(logits);
                    bar.Report((index + 1.0) / ids.Length, index + 1, ids.Length);
                },
                cancellationToken);
            writer.Complete();
            bar.Finish();
            Console.Error.WriteLine($"{path}: logits, float32 [{ids.Length}, {vocabSize}]");
        }
        return ExitCode.Success;
    }
}
