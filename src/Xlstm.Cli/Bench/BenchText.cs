using System.Globalization;
using System.Text;
using Xlstm.Cli.Output;

namespace Xlstm.Cli.Bench;

/// <summary>A <see cref="BenchReport"/> as Markdown and as CSV.</summary>
internal static class BenchText
{
    public static string ToMarkdown(BenchReport report)
    {
        var text = new StringBuilder();
        Line($"- {string.Concat((report.Gpus ?? []).Select(gpu => gpu + "; "))}{report.Cpu}, {report.LogicalCores} logical cores; {report.System}; {report.Runtime}; {report.Date:yyyy-MM-dd HH:mm} UTC");
        Line($"- {report.Model}: {Quantity.Count(report.Parameters)} parameters, state {Quantity.Bytes(report.StateBytes)} a sequence");
        Line($"- `{report.Command}`");
        Line($"");
        Line($"| weights | threads | test | depth | batch | tok/s | ± | median | weights GB/s | state GB/s | of {Ceiling(report, cpu: "DRAM", gpu: "copy")} | GMAC/s |");
        Line($"|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
        foreach (var run in report.Runs)
        {
            foreach (var row in run.Tests)
            {
                Line($"| {run.Weights} | {run.Threads} | {row.Test} | {row.Depth} | {row.Batch} | {Rate(row.TokensPerSecond)} | {Rate(row.Deviation)} | {Rate(row.MedianTokensPerSecond)} | {Giga(row.WeightBytesPerSecond)} | {Giga(row.StateBytesPerSecond)} | {Percent(row.DramShare)} | {Giga(row.ProductsPerSecond)} |");
            }
        }

        Line($"");
        Line($"| weights | threads | device | weights held | resident | load | {Ceiling(report, cpu: "DRAM read", gpu: "copy")} GB/s | median | buffer |");
        Line($"|---|---:|---|---:|---:|---:|---:|---:|---:|");
        foreach (var run in report.Runs)
        {
            Line($"| {run.Weights} | {run.Threads} | {run.Device} | {Quantity.Bytes(run.WeightBytes)} | {Quantity.Bytes(run.ResidentBytes)} | {run.LoadSeconds:F1} s | {Giga(run.DramBytesPerSecond)} | {Giga(run.DramMedianBytesPerSecond)} | {Buffer(run)} |");
        }

        return text.ToString();

        void Line(FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
    }

    public static string ToCsv(BenchReport report)
    {
        var text = new StringBuilder();
        Line("cpu", "system", "runtime", "date", "model", "parameters", "state_bytes", "weights", "threads", "device", "weight_bytes", "load_seconds", "resident_bytes", "dram_bytes_per_second", "dram_median_bytes_per_second", "dram_buffer_bytes",
            "test", "tokens", "depth", "batch", "tokens_per_second", "deviation", "median_tokens_per_second", "weight_bytes_per_second", "state_bytes_per_second", "dram_share", "products_per_second");
        foreach (var run in report.Runs)
        {
            foreach (var row in run.Tests)
            {
                Line(report.Cpu, report.System, report.Runtime, report.Date.ToString("s", CultureInfo.InvariantCulture), report.Model, report.Parameters, report.StateBytes,
                    run.Weights, run.Threads, run.Device, run.WeightBytes, run.LoadSeconds, run.ResidentBytes, run.DramBytesPerSecond, run.DramMedianBytesPerSecond, run.DramBufferBytes,
                    row.Test, row.Tokens, row.Depth, row.Batch, row.TokensPerSecond, row.Deviation, row.MedianTokensPerSecond, row.WeightBytesPerSecond, row.StateBytesPerSecond, row.DramShare, row.ProductsPerSecond);
            }
        }

        return text.ToString();

        void Line(params ReadOnlySpan<object?> fields)
        {
            for (int i = 0; i < fields.Length; i++)
            {
                text.Append(i > 0 ? "," : "").Append(Field(Convert.ToString(fields[i], CultureInfo.InvariantCulture) ?? ""));
            }

            text.Append('\n');
        }
    }

    /// <summary>What the runs of a report are held against.</summary>
    private static string Ceiling(BenchReport report, string cpu, string gpu) => string.Join(" or ", report.Runs.Select(run => run.OnGpu ? gpu : cpu).Distinct());

    private static string Buffer(BenchRun run) => run.DramBufferBytes is { } bytes
        ? (run.OnGpu ? "2 x " : "") + Quantity.Bytes(bytes) + (bytes < MemoryBandwidth.TrustedBytes ? ", caches may serve it" : "")
        : "";

    private static string Field(string value) => value.AsSpan().IndexOfAny(",\"\n") < 0 ? value : $"\"{value.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";

    private static string Rate(double rate) => rate.ToString(rate < 10 ? "F2" : rate < 100 ? "F1" : "F0", CultureInfo.InvariantCulture);

    private static string Giga(double? value) => value is { } known ? (known / 1e9).ToString("F1", CultureInfo.InvariantCulture) : "";

    private static string Percent(double? value) => value is { } known ? (100 * known).ToString("F0", CultureInfo.InvariantCulture) + " %" : "";
}
