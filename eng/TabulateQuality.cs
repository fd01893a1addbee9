// Writes docs/benchmarks/quality.md from what `xlstm perplexity --json` measured and the table of roles; eng/measure-quality.sh runs it.
//
//   dotnet run eng/TabulateQuality.cs -- roles.md 1-int8.json 2-int4.json ... > docs/benchmarks/quality.md
//
// A file's name is a number for the order, then what was measured.
using System.Globalization;
using System.Text.Json;

if (args.Length < 2)
{
    Console.Error.WriteLine("usage: dotnet run eng/TabulateQuality.cs -- ROLES JSON... > quality.md");
    return 2;
}

var runs = args.Skip(1).Select(path => (Name: Path.GetFileNameWithoutExtension(path)[2..].Replace('-', ' '), Root: JsonDocument.Parse(File.ReadAllBytes(path)).RootElement)).ToList();
JsonElement first = runs[0].Root;
string reference = first.GetProperty("against").GetProperty("weights").GetString()!;

Line($"# What the weight formats cost");
Line($"");
Line($"Written by `eng/measure-quality.sh` on {DateTime.UtcNow:yyyy-MM-dd}: the demo model on held-out books, each one stream from its first token on ({string.Join(", ", first.GetProperty("files").EnumerateArray().Select(FileText))}):");
Line($"{first.GetProperty("tokens").GetInt64():N0} tokens and {first.GetProperty("bytes").GetInt64():N0} bytes in all, against {reference} weights, which hold this checkpoint exactly. What the columns mean: [perplexity.md](../perplexity.md).");
Line($"");
Line($"```");
Line($"xlstm perplexity --file BOOK1 --file BOOK2 --file BOOK3 --weights FORMAT --against-weights {reference} [--max-tokens N]");
Line($"```");
Line($"");
Line($"| weights | perplexity | bits/byte | over {reference} | ± | KL mean | KL 99 % | KL max | same top token |");
Line($"|---|---:|---:|---:|---:|---:|---:|---:|---:|");
Line($"| {reference} | {Number(first, "reference_perplexity"):F4} | {Math.Log2(Number(first, "reference_perplexity")) * first.GetProperty("tokens").GetInt64() / first.GetProperty("bytes").GetInt64():F5} | | | | | | |");
foreach (var (name, root) in runs)
{
    Line($"| {name} | {Number(root, "perplexity"):F4} | {Number(root, "bits_per_byte"):F5} | {100 * (Number(root, "perplexity_ratio") - 1):+0.000;-0.000} % | {100 * Number(root, "log_ratio_standard_error"):F3} % | {Number(root, "kl_mean"):F6} | {Number(root, "kl_99"):F5} | {Number(root, "kl_max"):F4} | {100 * Number(root, "top1_agreement"):F2} % |");
}

Line($"");
Line($"*calibrated* is a folder of `xlstm quantize --weights int4 --calibrate TEXT`, the text being 32,000 tokens that the model wrote itself;");
Line($"*mix* keeps out_proj and proj_down at 8 bits (`--mix`). The perplexity itself is known to ± {Number(first, "perplexity_standard_error"):F2}; the ratios are known far better, since both");
Line($"models read the same tokens.");
Line($"");
Line($"## By position");
Line($"");
Line($"Mean divergence (KL, nats a token) in ranges of positions of the stream. A format whose errors added up in the state would grow from row to row.");
Line($"");
Line($"| positions | tokens | {string.Join(" | ", runs.Select(run => run.Name))} |");
Line($"|---|---:|{string.Concat(runs.Select(_ => "---:|"))}");
foreach (var (position, index) in first.GetProperty("positions").EnumerateArray().Select((position, i) => (position, i)))
{
    var cells = runs.Select(run => Number(run.Root.GetProperty("positions")[index], "kl_mean").ToString("F6", CultureInfo.InvariantCulture));
    Line($"| {position.GetProperty("first").GetInt64():N0} to {position.GetProperty("last").GetInt64():N0} | {position.GetProperty("tokens").GetInt64():N0} | {string.Join(" | ", cells)} |");
}

Line($"");
Line($"## By role");
Line($"");
Line($"One role of the matrices rounded, all others bfloat16: `Xlstm.Benchmarks roles --tokens 3000 --calibrate TEXT BOOK1 BOOK2 BOOK3`, that is 3,000 tokens of each book. Judge by the divergence: a");
Line($"perplexity over so few tokens is off by a tenth of a per cent. What follows from it: [calibration.md](../calibration.md#by-role).");
Line($"");
Console.Write(File.ReadAllText(args[0]));
return 0;

static void Line(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

static string FileText(JsonElement file) =>
    string.Create(CultureInfo.InvariantCulture, $"{Path.GetFileNameWithoutExtension(file.GetProperty("file").GetString())} {file.GetProperty("tokens").GetInt64():N0}");

static double Number(JsonElement element, string name) => element.GetProperty(name).GetDouble();
