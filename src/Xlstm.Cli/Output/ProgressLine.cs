using System.Globalization;
using System.Text;

namespace Xlstm.Cli.Output;

/// <summary>One line in the style of Python's tqdm: <c>Loading checkpoint shards: 100%|████| 6/6 [00:04&lt;00:00,  1.41it/s]</c>.</summary>
internal static class ProgressLine
{
    // Where there is no terminal to fill, tqdm draws ten cells.
    private const int CellsWithoutTerminal = 10;
    private const string Eighths = " ▏▎▍▌▋▊▉";

    /// <param name="description">What is going on.</param>
    /// <param name="fraction">Share done, 0 to 1; may be finer than <paramref name="done"/> over <paramref name="total"/>.</param>
    /// <param name="done">Units done.</param>
    /// <param name="total">Units in all.</param>
    /// <param name="elapsed">Time so far.</param>
    /// <param name="unit">Name of a unit: "it", "tok".</param>
    /// <param name="width">Columns to fill; null draws the short form for logs.</param>
    public static string Format(string description, double fraction, long done, long total, TimeSpan elapsed, string unit, int? width)
    {
        fraction = Math.Clamp(fraction, 0, 1);
        double rate = elapsed > TimeSpan.Zero ? fraction * total / elapsed.TotalSeconds : 0;
        string remaining = rate > 0 ? Interval(TimeSpan.FromSeconds(Math.Min((1 - fraction) * total / rate, TimeSpan.MaxValue.TotalSeconds / 2))) : "?";
        string left = string.Create(CultureInfo.InvariantCulture, $"{description}: {Math.Floor(fraction * 100),3:F0}%|");
        string right = string.Create(CultureInfo.InvariantCulture, $"| {done}/{total} [{Interval(elapsed)}<{remaining}, {Rate(rate, unit)}]");
        int cells = width is null ? CellsWithoutTerminal : Math.Max(1, width.Value - left.Length - right.Length);
        return left + Bar(fraction, cells) + right;
    }

    private static string Bar(double fraction, int cells)
    {
        int eighths = (int)(fraction * cells * 8);
        var bar = new StringBuilder(cells).Append('█', eighths / 8);
        if (bar.Length < cells)
        {
            bar.Append(Eighths[eighths % 8]).Append(' ', cells - bar.Length);
        }

        return bar.ToString();
    }

    private static string Interval(TimeSpan time)
    {
        long seconds = (long)time.TotalSeconds;
        return seconds >= 3600
            ? string.Create(CultureInfo.InvariantCulture, $"{seconds / 3600}:{seconds / 60 % 60:D2}:{seconds % 60:D2}")
            : string.Create(CultureInfo.InvariantCulture, $"{seconds / 60:D2}:{seconds % 60:D2}");
    }

    private static string Rate(double rate, string unit) => rate switch
    {
        <= 0 => $"?{unit}/s",
        < 1 => string.Create(CultureInfo.InvariantCulture, $"{1 / rate,5:F2}s/{unit}"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{rate,5:F2}{unit}/s"),
    };
}
