using System.CommandLine;
using Xlstm.Checkpoints;
using Xlstm.Cli.Arguments;
using Xlstm.Cli.Output;

namespace Xlstm.Cli.Commands;

/// <summary><c>xlstm synthesize</c>: a random checkpoint of any size, to measure speed and memory without the real weights.</summary>
internal sealed class SynthesizeCommand
{
    private static readonly Dictionary<string, ElementType> Dtypes = new(StringComparer.OrdinalIgnoreCase)
    {
        ["float32"] = ElementType.Float32,
        ["bfloat16"] = ElementType.BFloat16,
        ["float16"] = ElementType.Float16,
    };

    private readonly Option<string> _like = new("--like") { HelpName = "SIZE", Description = $"{string.Join(", ", KnownSizes.Names)}, or a config.json or checkpoint folder to take the sizes from", Required = true };
    private readonly Option<string> _dtype = new("--dtype") { HelpName = "DTYPE", Description = string.Join(", ", Dtypes.Keys), DefaultValueFactory = _ => "float32" };
    private readonly Option<int?> _shards = NumberRules.Positive.Option("--shards", "N", "Files to spread the tensors over (default 1)");
    private readonly Option<ulong?> _seed = NumberRules.Seed.Option("--seed", "S", "The same seed gives the same weights on every machine (default 0)");
    private readonly Option<string> _output = new("--output", "-o") { HelpName = "DIR", Description = "The folder to make", Required = true };

    public static Command Create()
    {
        var arguments = new SynthesizeCommand();
        arguments._dtype.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && !Dtypes.ContainsKey(token.Value))
            {
                result.AddError($"--dtype {token.Value}: expected {string.Join(", ", Dtypes.Keys)}");
            }
        });
        var command = new ToolCommand("synthesize", "Make a random checkpoint with the weights that training starts from: to measure, not to read.")
        {
            Examples =
            [
                ("xlstm synthesize --like xlstm-7b --dtype float32 --shards 6 --output random-7b", "the layout of the public xLSTM-7B"),
                ("xlstm synthesize --like my/config.json --dtype bfloat16 --output random", "any other sizes"),
                ("xlstm generate --model random --prompt-ids 0 -n 32 --ignore-eos", "measure with it"),
            ],
        };
        command.Add(arguments._like);
        command.Add(arguments._dtype);
        command.Add(arguments._shards);
        command.Add(arguments._seed);
        command.Add(arguments._output);
        command.SetAction(arguments.Run);
        return command;
    }

    private Task<int> Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        var config = KnownSizes.Resolve(parsed.GetRequiredValue(_like));
        string folder = parsed.GetRequiredValue(_output);
        var options = new SynthesisOptions
        {
            Type = Dtypes[parsed.GetRequiredValue(_dtype)],
            Shards = parsed.GetValue(_shards) ?? 1,
            Seed = parsed.GetValue(_seed) ?? 0,
        };
        using var bar = new ProgressBar("Writing checkpoint shards", "it", TimeSpan.Zero, keep: true);
        Synthesizer.Write(folder, config, options, new Progress(bar), cancellationToken);
        bar.Finish();
        Console.Error.WriteLine($"{folder}: {Quantity.Count(config.ParameterCount)} random parameters as {parsed.GetRequiredValue(_dtype)}");
        return Task.FromResult(ExitCode.Success);
    }

    private sealed class Progress(ProgressBar bar) : IProgress<SynthesisProgress>
    {
        public void Report(SynthesisProgress value) =>
            bar.Report(value.Bytes > 0 ? (double)value.BytesDone / value.Bytes : 0, value.ShardsDone, value.Shards);
    }
}
