using System.CommandLine;
using System.Diagnostics;
using Xlstm.Cli.Arguments;
using Xlstm.Cli.Generation;
using Xlstm.Cli.Output;
using Xlstm.Cli.Sessions;
using Xlstm.Generation;

namespace Xlstm.Cli.Commands;

/// <summary><c>xlstm generate</c>: continues a prompt, or a file of them.</summary>
internal sealed class GenerateCommand
{
    private const int DefaultBatch = 8;

    private readonly Argument<string?> _prompt = new("PROMPT") { Description = "Text to continue; \"-\" or nothing reads stdin", Arity = ArgumentArity.ZeroOrOne };
    private readonly Option<string?> _promptFile = new("--prompt-file") { HelpName = "FILE", Description = "Read the prompt from a file" };
    private readonly Option<string?> _promptIds = new("--prompt-ids") { HelpName = "IDS", Description = "Token ids such as 0,5,7, fed as they are" };
    private readonly Option<string?> _prompts = new("--prompts") { HelpName = "FILE", Description = "Many prompts: one JSON string or object a line; results as JSON lines" };
    private readonly Option<int?> _batch = new NumberRule<int>(v => v is >= 1 and <= 64, "a whole number from 1 to 64").Option("--batch", "N", $"How many of --prompts run together; the texts do not depend on it (default {DefaultBatch})");
    private readonly Option<bool> _noBos = Flag.Create("--no-bos", "Do not put the begin-of-text token first (the text suffers)");
    private readonly Option<bool> _echo = Flag.Create("--echo", "Print the prompt before the text");
    private readonly Option<bool> _json = Flag.Create("--json", "Print one JSON object: text, ids, prompt_ids, finish_reason, timings");
    private readonly ModelArguments _model = new();
    private readonly SamplingArguments _sampling = new();
    private readonly SessionArguments _sessions = new();

    public static Command Create()
    {
        var arguments = new GenerateCommand();
        var command = new ToolCommand("generate", "Continue a text. The text goes to stdout as it is made, everything else to stderr.")
        {
            Examples =
            [
                ("xlstm generate \"Once upon a time\"", "a story from the demo model, in a clone of the repository"),
                ("xlstm generate --model ~/models/xLSTM-7b --greedy -n 200 \"The Eiffel Tower\"", "the most probable text of another model"),
                ("cat notes.txt | xlstm generate -n 100 --stop \"\\n\\n\" > more.txt", "in a pipe; stop at an empty line"),
                ("xlstm generate --prompts prompts.jsonl --seed 1 > results.jsonl", "many prompts with one load"),
                ("xlstm generate --prompt-file report.txt --save-session report.session -n 0", "read a long text once ..."),
                ("xlstm generate --session report.session \"In short, the report says\"", "... and go on from it at once, as often as wanted"),
                ("xlstm generate --json --greedy --logprobs 3 -n 8 \"The sea\"", "for programs"),
            ],
        };
        command.Add(arguments._prompt);
        arguments._model.AddTo(command);
        command.Add(arguments._promptFile);
        command.Add(arguments._promptIds);
        command.Add(arguments._prompts);
        command.Add(arguments._batch);
        arguments._sessions.AddTo(command);
        arguments._sampling.AddTo(command);
        command.Add(arguments._echo);
        command.Add(arguments._noBos);
        command.Add(arguments._json);
        command.SetAction(arguments.RunAsync);
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        _sessions.Check(parsed, many: parsed.GetValue(_prompts) is not null);
        string folder = _model.Folder(parsed);
        var options = _sampling.Apply(GenerationConfig.Read(folder), parsed);
        var jobs = await ReadJobsAsync(parsed, options, cancellationToken).ConfigureAwait(false);
        var (model, loadSeconds) = _model.Load(folder, parsed, cancellationToken);
        using (model)
        {
            using var output = new TextOutput();
            var timings = parsed.GetValue(_prompts) is null
                ? await RunOneAsync(model, jobs[0], parsed, output, loadSeconds, cancellationToken).ConfigureAwait(false)
                : await RunManyAsync(model, jobs, parsed, output, cancellationToken).ConfigureAwait(false);
            Console.Error.WriteLine(timings);
        }
        return ExitCode.Success;
    }

    private async Task<Timings> RunOneAsync(
        XlstmModel model, GenerationJob job, ParseResult parsed, TextOutput output, double loadSeconds, CancellationToken cancellationToken)
    {
        using var open = await _sessions.OpenAsync(model, parsed, cancellationToken).ConfigureAwait(false);
        bool isNew = open.Session.Tokens.Count == 0;
        int[] promptIds = job.Encode(model, isNew && !parsed.GetValue(_noBos), mayBeEmpty: !isNew);
        bool json = parsed.GetValue(_json);
        string echo = Echo(model, job, promptIds, parsed);
        if (!json)
        {
            output.Write(echo);
        }

        GenerationResult result;
        try
        {
            result = await SingleRun.RunAsync(open.Session, promptIds, job, Receive, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OutputClosedException)
        {
            output.EndLineBeforeError();
            throw;
        }

        if (json)
        {
            output.WriteLine((result with { Text = echo + result.Text, Timings = result.Timings with { LoadSeconds = loadSeconds } }).ToJson());
        }

        output.EndLineBeforeError();
        string? saved = await _sessions.SaveAsync(open.Session, parsed).ConfigureAwait(false);
        bool verbose = parsed.GetValue<bool>(ModelArguments.VerboseName);
        foreach (string line in new[] { open.CacheReport, saved }.OfType<string>().Where(_ => verbose || Terminal.ErrorIsTerminal))
        {
            Console.Error.WriteLine(line);
        }

        if (verbose)
        {
            Console.Error.WriteLine($"finish reason {result.FinishReason}{(result.Seed is { } seed ? $", seed {seed}" : "")}");
        }

        if (result.Logprobs is not null && !json)
        {
            LogProbTable.Write(Console.Error, result.Logprobs);
        }

        return result.Timings;

        void Receive(GeneratedToken token)
        {
            if (!json)
            {
                output.Write(model.Tokenizer is null ? $"{token.Id} " : token.Text);
            }
        }
    }

    private async Task<Timings> RunManyAsync(
        XlstmModel model, IReadOnlyList<GenerationJob> jobs, ParseResult parsed, TextOutput output, CancellationToken cancellationToken)
    {
        // All prompts are encoded first, so that a bad one is told before the good ones have cost their time.
        var prompts = jobs.Select(job => (Job: job, Ids: job.Encode(model, !parsed.GetValue(_noBos)))).ToArray();
        long start = Stopwatch.GetTimestamp();
        var done = new List<Timings>();
        // On one terminal the results themselves show how far it is.
        using var bar = output.IsTerminal ? null : new ProgressBar("Prompts", "it", TimeSpan.FromSeconds(1), keep: false);
        await BatchRun.RunAsync(model, prompts, parsed.GetValue(_batch) ?? DefaultBatch, Receive, cancellationToken).ConfigureAwait(false);
        bar?.Finish();
        return Timings.Together(done, Math.Round(Stopwatch.GetElapsedTime(start).TotalSeconds, 6));

        void Receive(GenerationResult result)
        {
            var (job, ids) = prompts[done.Count];
            output.WriteLine((result with { Text = Echo(model, job, ids, parsed) + result.Text }).ToJson());
            done.Add(result.Timings);
            bar?.Report((double)done.Count / prompts.Length, done.Count, prompts.Length);
        }
    }

    private string Echo(XlstmModel model, GenerationJob job, int[] promptIds, ParseResult parsed) =>
        !parsed.GetValue(_echo) ? "" : job.Prompt ?? model.Tokenizer?.Decode(promptIds, skipSpecial: true) ?? "";

    private async Task<IReadOnlyList<GenerationJob>> ReadJobsAsync(ParseResult parsed, GenerationOptions options, CancellationToken cancellationToken)
    {
        string? prompt = parsed.GetValue(_prompt);
        string? file = parsed.GetValue(_promptFile);
        string? ids = parsed.GetValue(_promptIds);
        string? lines = parsed.GetValue(_prompts);
        if (new[] { prompt, file, ids, lines }.Count(source => source is not null) > 1)
        {
            throw new UsageException("give one of PROMPT, --prompt-file, --prompt-ids and --prompts");
        }

        if (lines is not null)
        {
            return PromptLines.Parse(await InputText.ReadAsync(lines, cancellationToken).ConfigureAwait(false), InputText.Name(lines), options);
        }

        if (ids is not null)
        {
            return [new GenerationJob { Source = "--prompt-ids", PromptIds = TokenIds.Parse(ids, "--prompt-ids"), Options = options }];
        }

        if (prompt is null && file is null && _sessions.Continues(parsed))
        {
            prompt = "";
        }

        if (prompt is null or InputText.StandardInput && file is null)
        {
            if (prompt is null && !Console.IsInputRedirected)
            {
                throw new UsageException("no prompt: give one in quotes, pipe one in, or give \"\" to start from nothing");
            }

            file = InputText.StandardInput;
        }
        if (file is not null and not InputText.StandardInput)
        {
            // Opened once before the load, so that a wrong name is told at once.
            new PromptReader(file).Dispose();
            return [new GenerationJob { Source = file, PromptFile = file, Options = options }];
        }

        if (file is not null)
        {
            return [new GenerationJob { Source = InputText.Name(file), Prompt = await InputText.ReadPromptAsync(file, cancellationToken).ConfigureAwait(false), Options = options }];
        }

        return [new GenerationJob { Source = "the prompt", Prompt = prompt, Options = options }];
    }
}
