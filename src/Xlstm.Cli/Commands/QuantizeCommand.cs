using System.CommandLine;
using System.Diagnostics;
using Xlstm.Checkpoints;
using Xlstm.Cli.Arguments;
using Xlstm.Cli.Output;

namespace Xlstm.Cli.Commands;

/// <summary><c>xlstm quantize</c>: a packed folder of a checkpoint, which loads by mapping one file.</summary>
internal sealed class QuantizeCommand
{
    private readonly Option<string?> _model = ModelArguments.ModelOption();
    private readonly Option<WeightFormat?> _weights = WeightFormats.Option("--weights", $"How weights are to be held: {WeightFormats.Names}");
    private readonly Option<string> _output = new("--output", "-o") { HelpName = "DIR", Description = "The folder to make", Required = true };
    private readonly Option<string?> _calibrate = new("--calibrate")
    {
        HelpName = "TEXT",
        Description = "A file of typical text: the model reads it, and int4 is rounded so that errors cancel on it; slower, better text",
    };

    private readonly Option<bool> _mix = ModelArguments.MixOption();
    private readonly Option<int?> _threads = ModelArguments.ThreadsOption();

    public static Command Create()
    {
        var arguments = new QuantizeCommand();
        arguments._weights.Required = true;
        var command = new ToolCommand("quantize", "Pack a checkpoint into the form it is computed with: smaller, and loaded by mapping one file.")
        {
            Examples =
            [
                ("xlstm quantize --model ~/models/xLSTM-7b --weights int4 --output xlstm-7b-int4", "4.5 bits a weight"),
                ("xlstm quantize --weights int4 --calibrate corpus.txt --output demo-int4", "rounded with the text in mind"),
                ("xlstm generate --model demo-int4 \"Once upon a time\"", "use it"),
            ],
        };
        command.Add(arguments._model);
        command.Add(arguments._weights);
        command.Add(arguments._output);
        command.Add(arguments._calibrate);
        command.Add(arguments._mix);
        command.Add(arguments._threads);
        command.SetAction(arguments.RunAsync);
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        WeightFormat format = parsed.GetValue(_weights)!.Value;
        if (parsed.GetValue(_mix) && format != WeightFormat.Int4)
        {
            throw new UsageException("--mix goes with --weights int4");
        }

        if (parsed.GetValue(_calibrate) is not null && format != WeightFormat.Int4)
        {
            throw new UsageException("--calibrate goes with --weights int4: the other formats do not look at it");
        }

        string folder = parsed.GetRequiredValue(_output);
        using var checkpoint = Checkpoint.Open(ModelLocator.Find(parsed.GetValue(_model)));
        var options = new PackOptions
        {
            Weights = format,
            Mix = parsed.GetValue(_mix),
            Threads = parsed.GetValue(_threads),
            CalibrationIds = parsed.GetValue(_calibrate) is { } text ? await ReadIdsAsync(checkpoint, text, cancellationToken).ConfigureAwait(false) : null,
        };
        long start = Stopwatch.GetTimestamp();
        using var bar = new ProgressBar("Packing checkpoint shards", "it", TimeSpan.Zero, keep: true);
        await Task.Run(() => ModelPacker.Pack(checkpoint, folder, options, new ShardProgress(bar), cancellationToken), cancellationToken).ConfigureAwait(false);
        bar.Finish();
        long bytes = new DirectoryInfo(folder).EnumerateFiles().Sum(file => file.Length);
        Console.Error.WriteLine($"{folder}: {Quantity.Count(checkpoint.Config.ParameterCount)} parameters as {format.Name()}, {Quantity.Bytes(bytes)}, in {Stopwatch.GetElapsedTime(start).TotalSeconds:F1} s");
        return ExitCode.Success;
    }

    private static async Task<int[]> ReadIdsAsync(Checkpoint checkpoint, string path, CancellationToken cancellationToken)
    {
        Tokenizer tokenizer = Tokenizer.Load(checkpoint.Folder);
        string text = await InputText.ReadAsync(path, cancellationToken).ConfigureAwait(false);
        return [tokenizer.BeginOfText ?? 0, .. tokenizer.Encode(text)];
    }
}
