using System.CommandLine;
using System.Diagnostics;
using Xlstm.Checkpoints;
using Xlstm.Cli.Output;

namespace Xlstm.Cli.Arguments;

/// <summary>The options that say which model is run and how it is held, and the load itself.</summary>
internal sealed class ModelArguments
{
    /// <summary>The option every command has.</summary>
    public const string VerboseName = "--verbose";

    private readonly Option<string?> _model = ModelOption();
    private readonly Option<WeightFormat?> _weights = WeightFormats.Option(
        "--weights", $"How weights are held in memory: {WeightFormats.Names} (default: as a packed folder holds them, else bfloat16; float32 for float16 files)");

    private readonly Option<bool> _mix = MixOption();
    private readonly Option<int?> _threads = ThreadsOption();

    private readonly Option<string> _device = DeviceOption();
    private readonly Option<StateFormat?> _state = StateOption();
    private readonly Option<bool> _showConfig = Flag.Create("--show-config", "Print the model's configuration in the form of the official Python package");

    public static Option<string?> ModelOption() => new("--model", "-m")
    {
        HelpName = "DIR",
        Description = $"Checkpoint folder, or the name of a repository in the Hugging Face cache (default: {ModelLocator.Variable}, else the demo of the clone)",
    };

    public static Option<bool> MixOption() => Flag.Create("--mix", "With int4: out_proj and proj_down stay at 8 bits (better text, slower)");

    public static Option<int?> ThreadsOption() => NumberRules.Positive.Option("--threads", "N", "Threads that compute; results do not depend on it (default: physical cores)");

    public static Option<string> DeviceOption() => new("--device")
    {
        HelpName = "DEVICE",
        Description = "Where to run: auto (a GPU with memory enough, several together, else the CPU), cpu, cuda, cuda:N, cuda:N,M; see xlstm devices",
        DefaultValueFactory = _ => "auto",
    };

    public static Option<StateFormat?> StateOption() => FormatNames<StateFormat>.Option(
        "--state", $"How a GPU holds the states of sessions: {FormatNames<StateFormat>.Names} (half the memory; default: float32)");

    /// <summary>Loads an opened checkpoint, with its memory, progress and warnings on stderr.</summary>
    public static (XlstmModel Model, double Seconds) Load(Checkpoint checkpoint, LoadOptions options, ParseResult parsed, CancellationToken cancellationToken) =>
        Load(checkpoint, options, Stopwatch.GetTimestamp(), showConfig: false, parsed, cancellationToken);

    public void AddTo(Command command)
    {
        command.Add(_model);
        command.Add(_weights);
        command.Add(_mix);
        command.Add(_threads);
        command.Add(_device);
        command.Add(_state);
        command.Add(_showConfig);
    }

    public string Folder(ParseResult parsed) => ModelLocator.Find(parsed.GetValue(_model));

    /// <summary>What <c>--weights</c> says; null if nothing.</summary>
    public WeightFormat? Weights(ParseResult parsed) => parsed.GetValue(_weights);

    /// <summary>Loads the model, with its memory, progress, configuration and warnings on stderr.</summary>
    public (XlstmModel Model, double Seconds) Load(string folder, ParseResult parsed, CancellationToken cancellationToken) =>
        Load(folder, Options(parsed) with { State = parsed.GetValue(_state) ?? StateFormat.Float32 }, parsed, cancellationToken);

    /// <summary>
    /// As <see cref="Load(string, ParseResult, CancellationToken)"/>, a model to compare with: weights held otherwise than <c>--weights</c> says, elsewhere than
    /// <c>--device</c> if not null, and states as exact as they can be.
    /// </summary>
    public (XlstmModel Model, double Seconds) LoadReference(string folder, WeightFormat? weights, string? device, ParseResult parsed, CancellationToken cancellationToken)
    {
        var options = Options(parsed);
        return Load(folder, options with { Weights = weights, Device = device ?? options.Device }, parsed, cancellationToken);
    }

    private LoadOptions Options(ParseResult parsed) =>
        new() { Weights = parsed.GetValue(_weights), Mix = parsed.GetValue(_mix), Threads = parsed.GetValue(_threads), Device = parsed.GetValue(_device)! };

    private (XlstmModel Model, double Seconds) Load(string folder, LoadOptions options, ParseResult parsed, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        using var checkpoint = Checkpoint.Open(folder);
        return Load(checkpoint, options, start, parsed.GetValue(_showConfig), parsed, cancellationToken);
    }

    private static (XlstmModel Model, double Seconds) Load(Checkpoint checkpoint, LoadOptions options, long start, bool showConfig, ParseResult parsed, CancellationToken cancellationToken)
    {
        bool verbose = parsed.GetValue<bool>(VerboseName);
        if (verbose || Terminal.ErrorIsTerminal)
        {
            Console.Error.WriteLine(MemoryNotice.Format(checkpoint, options));
        }

        using var bar = new ProgressBar("Loading checkpoint shards", "it", TimeSpan.Zero, keep: true);
        var model = XlstmModel.Load(checkpoint, options, new ShardProgress(bar), cancellationToken);
        bar.Finish();
        double seconds = Math.Round(Stopwatch.GetElapsedTime(start).TotalSeconds, 6);
        if (showConfig || verbose)
        {
            Console.Error.WriteLine(ConfigBlock.Format(checkpoint.Config, checkpoint.RawConfig));
        }

        foreach (string warning in model.Warnings)
        {
            Terminal.WriteWarning(warning);
        }

        if (verbose)
        {
            Console.Error.WriteLine($"{model.Device}{(model.WhyNoGpu is { } why ? $" ({why})" : "")}; weights {Quantity.Bytes(model.WeightBytes)}, workspace {Quantity.Bytes(model.WorkspaceBytes)}, state {Quantity.Bytes(model.StateBytes)} a session; loaded in {seconds:F2} s");
        }

        return (model, seconds);
    }
}
