using System.Globalization;
using System.Text;
using System.Text.Json;
using Xlstm.Cli.Arguments;
using Xlstm.Cli.Output;

namespace Xlstm.Cli.Evaluation;

/// <summary>What <c>xlstm perplexity</c> tells, for people and for programs.</summary>
internal sealed class PerplexityReport(XlstmModel model, XlstmModel? reference)
{
    /// <summary>Every text and its score.</summary>
    public List<(string File, PredictionScore Score)> Files { get; } = [];

    public string ToText(TextEvaluator evaluator, double seconds)
    {
        var text = new StringBuilder();
        var total = evaluator.Total!;
        string source = Files.Count == 1 ? Files[0].File : $"{Files.Count} files";
        Line("Model", $"{MemoryNotice.ShortPath(model.Folder)}, {model.Weights.Name()} weights, {model.Device}");
        Line("Text", Invariant($"{source}: {total.Tokens:N0} tokens, {total.Bytes:N0} bytes; {seconds:F1} s, {total.Tokens / seconds:F0} tok/s"));
        Line("Perplexity", Invariant($"{total.Perplexity:F4} ± {total.PerplexityStandardError:F4}"));
        Line("", Invariant($"{total.NatsPerToken:F5} nats a token, {total.BitsPerByte:F5} bits a byte"));
        if (total.Divergence is { } divergence)
        {
            Line("Against", Invariant($"{MemoryNotice.ShortPath(reference!.Folder)}, {reference.Weights.Name()} weights, {reference.Device}: perplexity {divergence.ReferencePerplexity:F4}"));
            Line("", Invariant($"ratio of perplexities {divergence.PerplexityRatio:F5} ± {divergence.PerplexityRatio * divergence.LogRatioStandardError:F5}"));
            Line("", Invariant($"KL divergence mean {divergence.MeanDivergence:F6}, 99 % {divergence.Divergence99:F6}, largest {divergence.MaxDivergence:F6} nats"));
            Line("", Invariant($"same most probable token {100 * divergence.TopAgreement:F2} %"));
        }

        if (Files.Count > 1)
        {
            Table("file", Files);
        }

        Table("positions", evaluator.Positions.Select(p => (Invariant($"{p.First}-{p.Last}"), p.Score)));
        return text.ToString();

        void Line(string name, string value) => text.Append(name.PadRight(12)).Append(value).Append('\n');

        void Table(string what, IEnumerable<(string Name, PredictionScore Score)> rows)
        {
            var list = rows.ToList();
            int width = Math.Max(what.Length, list.Max(row => row.Name.Length));
            text.Append('\n').Append(what.PadRight(width)).Append("    tokens  perplexity  bits/byte");
            text.Append(reference is null ? "\n" : "     ratio   KL mean   KL 99 %    KL max  same top\n");
            foreach (var (name, score) in list)
            {
                text.Append(name.PadRight(width)).Append(Invariant($"  {score.Tokens,8}  {score.Perplexity,10:F4}  {score.BitsPerByte,9:F5}"));
                if (score.Divergence is { } d)
                {
                    text.Append(Invariant($"  {d.PerplexityRatio,8:F5}  {d.MeanDivergence,8:F6}  {d.Divergence99,8:F6}  {d.MaxDivergence,8:F6}  {100 * d.TopAgreement,6:F2} %"));
                }

                text.Append('\n');
            }
        }
    }

    public string ToJson(TextEvaluator evaluator, double seconds) => Json.Object(json =>
    {
        var total = evaluator.Total!;
        json.WriteString("model", model.Folder);
        json.WriteString("weights", model.Weights.Name());
        json.WriteString("device", model.Device);
        Write(json, total);
        Write(json, "seconds", seconds);
        Write(json, "tokens_per_second", total.Tokens / seconds);
        if (reference is not null)
        {
            json.WriteStartObject("against");
            json.WriteString("model", reference.Folder);
            json.WriteString("weights", reference.Weights.Name());
            json.WriteString("device", reference.Device);
            json.WriteEndObject();
        }

        json.WriteStartArray("files");
        foreach (var (file, score) in Files)
        {
            json.WriteStartObject();
            json.WriteString("file", file);
            Write(json, score);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("positions");
        foreach (var position in evaluator.Positions)
        {
            json.WriteStartObject();
            json.WriteNumber("first", position.First);
            json.WriteNumber("last", position.Last);
            Write(json, position.Score);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    });

    private static void Write(Utf8JsonWriter json, PredictionScore score)
    {
        json.WriteNumber("tokens", score.Tokens);
        json.WriteNumber("bytes", score.Bytes);
        Write(json, "perplexity", score.Perplexity);
        Write(json, "perplexity_standard_error", score.PerplexityStandardError);
        Write(json, "bits_per_byte", score.BitsPerByte);
        Write(json, "nats_per_token", score.NatsPerToken);
        if (score.Divergence is { } divergence)
        {
            Write(json, "reference_perplexity", divergence.ReferencePerplexity);
            Write(json, "perplexity_ratio", divergence.PerplexityRatio);
            Write(json, "log_ratio_standard_error", divergence.LogRatioStandardError);
            Write(json, "kl_mean", divergence.MeanDivergence);
            Write(json, "kl_99", divergence.Divergence99);
            Write(json, "kl_max", divergence.MaxDivergence);
            Write(json, "top1_agreement", divergence.TopAgreement);
        }
    }

    /// <summary>JSON has no infinity and no NaN.</summary>
    private static void Write(Utf8JsonWriter json, string name, double value)
    {
        if (double.IsFinite(value))
        {
            json.WriteNumber(name, value);
        }
        else
        {
            json.WriteNull(name);
        }
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
