using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using Xlstm.Checkpoints;
using Xlstm.Cli.Arguments;
using Xlstm.Cli.Bench;
using Xlstm.Cli.Output;

namespace Xlstm.Cli.Commands;

/// <summary><c>xlstm bench</c>: tokens a second of reading and generating, and what share of the memory's bandwidth that is.</summary>
internal sealed class BenchCommand
{
    private const string Markdown = "md";
    private static readonly string[] Forms = [Markdown, "csv", "json"];

    private readonly Option<string?> _model = ModelArguments.ModelOption();
    private readonly Option<string?> _like = new("--like") { HelpName = "SIZE", Description = $"Measure random weights made in memory instead: {string.Join(", ", KnownSizes.Names)}, or a config.json" };
    private readonly Option<string?> _weights = new("--weights") { HelpName = "FORMAT,FORMAT", Description = $"How weights are held: {WeightFormats.Names} (default: as a packed folder holds them, else bfloat16)" };
    private readonly Option<bool> _mix = ModelArguments.MixOption();
    private readonly Option<int[]> _threads = NumberList.Create("--threads", NumberRules.Positive, [], "Threads that compute (default: physical cores); a GPU is measured once, whatever it says");
    private readonly Option<string> _device = ModelArguments.DeviceOption();
    private readonly Option<StateFormat?> _state = ModelArguments.StateOption();
    private readonly Option<int[]> _prompts = NumberList.Create("--prompt", NumberRules.Count, [128, 512, 2048], "Lengths of prompts to read; 0 for none (default 128,512,2048)", "-p");
    private readonly Option<int[]> _generations = NumberList.Create("--generate", NumberRules.Count, [32, 128], "Numbers of tokens to generate; 0 for none (default 32,128)", "-g");
    private readonly Option<int[]> _depths = NumberList.Create("--depth", NumberRules.Count, [0], "Tokens read before the test begins (default 0)", "-d");
    private readonly Option<int[]> _batches = NumberList.Create("--batch", NumberRules.Positive, [1], "Sequences that generate together (default 1)", "-b");
    private readonly Option<int?> _repetitions = NumberRules.Positive.Option("--repetitions", "N", "Repetitions of each test (default 3)", "-n");
    private readonly Option<int?> _buffer = NumberRules.Positive.Option("--buffer", "MIB", "Buffer that the memory bandwidth is measured over, two of them on a GPU (default 2048; half of what is free if that is less)");
    private readonly Option<string> _output = new("--output", "-o") { HelpName = "FORM", Description = string.Join(", ", Forms), DefaultValueFactory = _ => Markdown };

    public static Command Create()
    {
        var arguments = new BenchCommand();
        arguments._weights.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && token.Value.Split(',').FirstOrDefault(name => WeightFormats.Find(name) is null) is { } wrong)
            {
                result.AddError($"--weights {wrong}: expected {WeightFormats.Names}");
            }
        });
        arguments._output.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && !Forms.Contains(token.Value))
            {
                result.AddError($"--output {token.Value}: expected {string.Join(", ", Forms)}");
            }
        });
        var command = new ToolCommand("bench", "Measure tokens a second, and the share of the memory bandwidth that they take.")
        {
            Examples =
            [
                ("xlstm bench", "the demo"),
                ("xlstm bench --like xlstm-7b --weights int4,int8 -p 512 -g 32 -b 1,4,8", "a model that need not be there"),
                ("xlstm bench --like xlstm-7b --device cuda --state bfloat16 -p 2048 -g 128 -b 1,8,32", "on a GPU, with states of half the size"),
                ("xlstm bench --model DIR -p 0 -g 128 -d 0,4096,16384 --output csv", "generation at several depths"),
            ],
        };
        foreach (var option in (Option[])[
            arguments._model, arguments._like, arguments._weights, arguments._mix, arguments._threads, arguments._device, arguments._state, arguments._prompts, arguments._generations, arguments._depths,
            arguments._batches, arguments._repetitions, arguments._buffer, arguments._output])
        {
            command.Add(option);
        }

        command.SetAction(arguments.Run);
        return command;
    }

    private Task<int> Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        string? like = parsed.GetValue(_like);
        if (like is not null && parsed.GetValue(_model) is not null)
        {
            throw new UsageException("--model and --like exclude each other");
        }

        var tests = Tests(parsed);
        WeightFormat?[] formats = parsed.GetValue(_weights)?.Split(',').Select(WeightFormats.Find).ToArray() ?? [null];
        int?[] threads = parsed.GetRequiredValue(_threads) is { Length: > 0 } given ? [.. given.Select(count => (int?)count)] : [null];
        using var checkpoint = like is not null ? Synthesizer.Open(KnownSizes.Resolve(like)) : Checkpoint.Open(ModelLocator.Find(parsed.GetValue(_model)));
        var runs = new List<BenchRun>();
        foreach (var format in formats)
        {
            var options = new LoadOptions { Weights = format, Mix = parsed.GetValue(_mix), Device = parsed.GetRequiredValue(_device), State = parsed.GetValue(_state) ?? StateFormat.Float32 };
            foreach (int? count in threads)
            {
                var run = Run(checkpoint, options with { Threads = count }, tests, parsed, cancellationToken);
                runs.Add(run);
                if (run.OnGpu)
                {
                    if (threads.Length > 1)
                    {
                        Terminal.WriteWarning("--threads: only loading uses them on a GPU, which is measured once");
                    }

                    break;
                }
            }
        }

        var report = new BenchReport
        {
            Cpu = CpuName.Find(),
            LogicalCores = Environment.ProcessorCount,
            System = $"{RuntimeInformation.OSDescription} {RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant()}",
            Runtime = RuntimeInformation.FrameworkDescription,
            Date = DateTime.UtcNow,
            Model = like is not null ? $"{like} (random weights)" : MemoryNotice.ShortPath(checkpoint.Folder),
            Parameters = checkpoint.Config.ParameterCount,
            StateBytes = runs[0].StateBytes,
            Command = CommandLine(),
            Runs = runs,
        };
        using var output = new TextOutput();
        output.Write(parsed.GetRequiredValue(_output) switch
        {
            Markdown => BenchText.ToMarkdown(report),
            "csv" => BenchText.ToCsv(report),
            _ => report.ToJson() + "\n",
        });
        return Task.FromResult(ExitCode.Success);
    }

    /// <summary>In order of depth, so that every depth is read once.</summary>
    private List<SpeedTest> Tests(ParseResult parsed)
    {
        var prompts = parsed.GetRequiredValue(_prompts).Where(tokens => tokens > 0).ToList();
        var generations = parsed.GetRequiredValue(_generations).Where(tokens => tokens > 0).ToList();
        var tests = new List<SpeedTest>();
        foreach (int depth in parsed.GetRequiredValue(_depths).Order())
        {
            tests.AddRange(prompts.Select(tokens => new SpeedTest(SpeedTestKind.Prompt, tokens, depth)));
            tests.AddRange(
                from batch in parsed.GetRequiredValue(_batches)
                from tokens in generations
                select new SpeedTest(SpeedTestKind.Generation, tokens, depth, batch));
        }

        return tests.Count > 0 ? tests : throw new UsageException("nothing to measure: give --prompt or --generate");
    }

    private BenchRun Run(Checkpoint checkpoint, LoadOptions options, List<SpeedTest> tests, ParseResult parsed, CancellationToken cancellationToken)
    {
        var (model, loadSeconds) = ModelArguments.Load(checkpoint, options, parsed, cancellationToken);
        using var loaded = model;
        string who = $"{model.Weights.Name()}, {(model.OnGpu ? model.Device : $"{model.Threads} threads")}";
        long bufferBytes = parsed.GetValue(_buffer) is { } mebibytes ? (long)mebibytes << 20 : MemoryBandwidth.TrustedBytes;
        var before = MemoryBandwidth.Measure(model, bufferBytes);
        var results = new List<SpeedResult>();
        long resident;
        using (var benchmark = new SpeedBenchmark(model))
        {
            foreach (var test in tests)
            {
                var result = benchmark.Run(test, parsed.GetValue(_repetitions) ?? 3, cancellationToken);
                results.Add(result);
                Console.Error.WriteLine(string.Create(
                    CultureInfo.InvariantCulture, $"{who}, {test.Name} at depth {test.Depth}, batch {test.Batch}: {result.MedianTokensPerSecond:F2} tok/s"));
            }

            resident = Environment.WorkingSet;
        }

        // Of a busy machine the ceiling is what it gives at its best.
        var after = MemoryBandwidth.Measure(model, bufferBytes);
        var dram = before?.Best > after?.Best ? before : after;
        return new BenchRun
        {
            Weights = model.Weights.Name(),
            Threads = model.OnGpu ? null : model.Threads,
            Device = model.Device,
            WeightBytes = model.WeightBytes,
            StateBytes = model.StateBytes,
            LoadSeconds = loadSeconds,
            ResidentBytes = resident,
            DramBytesPerSecond = dram?.Best,
            DramMedianBytesPerSecond = dram?.Median,
            DramBufferBytes = dram?.BufferBytes,
            Tests = [.. results.Select(result => BenchRow.Of(result, dram?.Best))],
        };
    }

    private static string CommandLine() =>
        "xlstm " + string.Join(' ', Environment.GetCommandLineArgs().Skip(1).Select(argument => argument.Contains(' ', StringComparison.Ordinal) ? $"\"{argument}\"" : argument));
}
