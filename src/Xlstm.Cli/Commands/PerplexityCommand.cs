using System.CommandLine;
using System.Diagnostics;
using Xlstm.Cli.Arguments;
using Xlstm.Cli.Evaluation;
using Xlstm.Cli.Output;

namespace Xlstm.Cli.Commands;

/// <summary><c>xlstm perplexity</c>: how well a model predicts texts, and what a weight format or another checkpoint costs.</summary>
internal sealed class PerplexityCommand
{
    private readonly Option<string[]> _files = new("--file", "-f") { HelpName = "TEXT", Description = "A text to score, UTF-8; \"-\" is stdin. Give several for several texts, each read from its own start", Required = true };
    private readonly Option<int?> _skip = NumberRules.Count.Option("--skip-tokens", "N", "Leave out the first N tokens of each text (default 0)");
    private readonly Option<int?> _max = NumberRules.Positive.Option("--max-tokens", "N", "Score at most N tokens of each text (default: all)");
    private readonly Option<int?> _context = NumberRules.Positive.Option("--context", "N", "Read windows of N tokens, each from begin-of-text (default: the whole text is one stream)");
    private readonly Option<int?> _stride = NumberRules.Positive.Option("--stride", "N", "Start a window every N tokens and score its last N (default: --context)");
    private readonly Option<int?> _pass = NumberRules.Positive.Option("--pass-tokens", "N", "Read at most N tokens a forward pass (default: as many as fit); 1 scores the arithmetic of generation");
    private readonly Option<WeightFormat?> _againstWeights = WeightFormats.Option("--against-weights", $"Compare with weights held as {WeightFormats.Names}: KL divergence and top-1 agreement");
    private readonly Option<string?> _againstModel = new("--against-model") { HelpName = "DIR", Description = "Compare with another checkpoint of the same vocabulary" };
    private readonly Option<string?> _againstDevice = new("--against-device") { HelpName = "DEVICE", Description = "Compare with the model run elsewhere: cpu, cuda, cuda:N" };
    private readonly Option<bool> _json = Flag.Create("--json", "Print one JSON object");
    private readonly ModelArguments _model = new();

    public static Command Create()
    {
        var arguments = new PerplexityCommand();
        var command = new ToolCommand("perplexity", "Measure how well a model predicts texts: perplexity, bits per byte, and distance from another weight format.")
        {
            Examples =
            [
                ("xlstm perplexity --file book.txt", "of the demo"),
                ("xlstm perplexity --file book.txt --weights int4 --against-weights bfloat16", "what 4 bits cost"),
                ("xlstm perplexity --file a.txt --file b.txt --max-tokens 4096 --json", "the first 4096 tokens of each, for programs"),
            ],
        };
        command.Add(arguments._files);
        command.Add(arguments._skip);
        command.Add(arguments._max);
        command.Add(arguments._context);
        command.Add(arguments._stride);
        command.Add(arguments._pass);
        command.Add(arguments._againstWeights);
        command.Add(arguments._againstModel);
        command.Add(arguments._againstDevice);
        command.Add(arguments._json);
        arguments._model.AddTo(command);
        command.SetAction(arguments.RunAsync);
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var options = new EvaluationOptions { Context = parsed.GetValue(_context), Stride = parsed.GetValue(_stride), PassTokens = parsed.GetValue(_pass) };
        if (options.Stride is not null && !(options.Stride <= options.Context))
        {
            throw new UsageException("--stride needs a --context at least as large");
        }

        string[] files = parsed.GetRequiredValue(_files);
        string folder = _model.Folder(parsed);
        var tokenizer = File.Exists(Path.Combine(folder, "tokenizer.json"))
            ? Tokenizer.Load(folder)
            : throw new XlstmException($"{folder}: has no tokenizer.json, so text cannot be scored");
        var texts = new List<(string File, int[] Ids)>();
        foreach (string file in files)
        {
            texts.Add((file, await ReadAsync(file, tokenizer, parsed, cancellationToken).ConfigureAwait(false)));
        }

        var (model, _) = _model.Load(folder, parsed, cancellationToken);
        using (model)
        {
            using var reference = LoadReference(folder, parsed, cancellationToken);
            using var evaluator = new TextEvaluator(model, reference, options);
            var report = new PerplexityReport(model, reference);
            long all = texts.Sum(text => (long)text.Ids.Length), done = 0;
            using var bar = new ProgressBar("Scoring", "tok", TimeSpan.FromSeconds(1), keep: false);
            long start = Stopwatch.GetTimestamp();
            foreach (var (file, ids) in texts)
            {
                var score = evaluator.Add(ids, new Progress(bar, done, all), cancellationToken);
                report.Files.Add((InputText.Name(file), score));
                done += ids.Length;
            }

            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            bar.Finish();
            using var output = new TextOutput();
            output.Write(parsed.GetValue(_json) ? report.ToJson(evaluator, seconds) + "\n" : report.ToText(evaluator, seconds));
        }

        return ExitCode.Success;
    }

    private async Task<int[]> ReadAsync(string file, Tokenizer tokenizer, ParseResult parsed, CancellationToken cancellationToken)
    {
        int[] ids = tokenizer.Encode(await InputText.ReadAsync(file, cancellationToken).ConfigureAwait(false));
        int skip = parsed.GetValue(_skip) ?? 0;
        return ids.Length > skip
            ? ids.AsSpan(skip, Math.Min(parsed.GetValue(_max) ?? int.MaxValue, ids.Length - skip)).ToArray()
            : throw new XlstmException($"{InputText.Name(file)}: has {ids.Length} tokens" + (skip > 0 ? $", --skip-tokens leaves out {skip}" : ", nothing to score"));
    }

    private XlstmModel? LoadReference(string folder, ParseResult parsed, CancellationToken cancellationToken)
    {
        var (other, weights, device) = (parsed.GetValue(_againstModel), parsed.GetValue(_againstWeights), parsed.GetValue(_againstDevice));
        if (other is null && weights is null && device is null)
        {
            return null;
        }

        // Only what is said to differ does.
        var held = weights ?? (other is null ? _model.Weights(parsed) : null);
        return _model.LoadReference(other is null ? folder : ModelLocator.Find(other), held, device, parsed, cancellationToken).Model;
    }

    private sealed class Progress(ProgressBar bar, long before, long all) : IProgress<long>
    {
        public void Report(long value) => bar.Report((double)(before + value) / all, before + value, all);
    }
}
