// Draws generation speed by context depth from the JSON of `xlstm bench`, a line a weight format, as SVG.
//
//   dotnet run eng/PlotBenchmarks.cs -- BENCH.json TITLE > PLOT.svg
//
// The tests drawn are those that generate at batch 1; a point is the median of its repetitions, a bar their range.
using System.Globalization;
using System.Text.Json;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: dotnet run eng/PlotBenchmarks.cs -- BENCH.json TITLE > PLOT.svg");
    return 2;
}

const int Width = 760, Height = 420, Left = 80, Right = 130, Top = 60, Bottom = 70;
string[] colors = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];
using var json = JsonDocument.Parse(File.ReadAllBytes(args[0]));
JsonElement report = json.RootElement;
var lines = report.GetProperty("runs").EnumerateArray()
    .Select(run => (Name: run.GetProperty("weights").GetString()!, Points: run.GetProperty("tests").EnumerateArray().Where(IsDrawn).Select(Point.Of).ToList()))
    .ToList();
int[] depths = [.. lines.SelectMany(line => line.Points).Select(point => point.Depth).Distinct().Order()];
double top = NiceTop(lines.SelectMany(line => line.Points).Max(point => point.High));

Console.WriteLine($"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{Width}\" height=\"{Height}\" viewBox=\"0 0 {Width} {Height}\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">");
Console.WriteLine($"<rect width=\"{Width}\" height=\"{Height}\" fill=\"white\"/>");
Text(Left, 26, args[1], "start", "font-size=\"16\" font-weight=\"bold\"");
Text(Left, 46, $"{Machine(report.GetProperty("runs")[0])}, {report.GetProperty("date").GetDateTime():yyyy-MM-dd}", "start", "fill=\"#666\"");
for (int step = 0; step <= 5; step++)
{
    double value = top * step / 5;
    Console.WriteLine(FormattableString.Invariant($"<line x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{Y(value):F1}\" y2=\"{Y(value):F1}\" stroke=\"#ddd\"/>"));
    Text(Left - 8, Y(value) + 4, value.ToString("#,0.##", CultureInfo.InvariantCulture), "end");
}

foreach (int depth in depths)
{
    Text(X(depth), Height - Bottom + 22, depth.ToString("N0", CultureInfo.InvariantCulture), "middle");
}

Text((Left + Width - Right) / 2.0, Height - 18, "tokens read before", "middle");
Console.WriteLine($"<text transform=\"translate(20 {(Top + Height - Bottom) / 2}) rotate(-90)\" text-anchor=\"middle\">tokens a second</text>");
double labelAbove = double.NegativeInfinity;
foreach (var (line, index) in lines.Select((line, i) => (line, i)).OrderByDescending(entry => entry.line.Points[^1].Median))
{
    string color = colors[index % colors.Length];
    string path = string.Join(' ', line.Points.Select(point => FormattableString.Invariant($"{X(point.Depth):F1},{Y(point.Median):F1}")));
    Console.WriteLine($"<polyline points=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>");
    foreach (Point point in line.Points)
    {
        Console.WriteLine(FormattableString.Invariant($"<line x1=\"{X(point.Depth):F1}\" x2=\"{X(point.Depth):F1}\" y1=\"{Y(point.Low):F1}\" y2=\"{Y(point.High):F1}\" stroke=\"{color}\"/>"));
        Console.WriteLine(FormattableString.Invariant($"<circle cx=\"{X(point.Depth):F1}\" cy=\"{Y(point.Median):F1}\" r=\"4\" fill=\"{color}\"/>"));
    }

    // Highest first, and pushed down where two lines end together.
    labelAbove = Math.Max(Y(line.Points[^1].Median) + 4, labelAbove + 16);
    Text(Width - Right + 12, labelAbove, line.Name, "start", $"fill=\"{color}\"");
}

Console.WriteLine("</svg>");
return 0;

string Machine(JsonElement run) => run.GetProperty("threads") is { ValueKind: JsonValueKind.Number } threads
    ? $"{report.GetProperty("cpu").GetString()}, {threads.GetInt32()} threads"
    : run.GetProperty("device").GetString()!;

static bool IsDrawn(JsonElement test) => test.GetProperty("test").GetString()!.StartsWith("tg", StringComparison.Ordinal) && test.GetProperty("batch").GetInt32() == 1;

// Depths are drawn at even distances: they grow by factors and start at 0.
double X(int depth) => Left + ((Array.IndexOf(depths, depth) + 0.5) * (Width - Left - Right) / depths.Length);

double Y(double value) => Height - Bottom - (value / top * (Height - Top - Bottom));

static void Text(double x, double y, string text, string anchor, string attributes = "") =>
    Console.WriteLine(FormattableString.Invariant($"<text x=\"{x:F1}\" y=\"{y:F1}\" text-anchor=\"{anchor}\" {attributes}>{System.Net.WebUtility.HtmlEncode(text)}</text>"));

static double NiceTop(double largest)
{
    double unit = Math.Pow(10, Math.Floor(Math.Log10(largest)));
    return ((double[])[1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10]).First(factor => factor * unit >= largest) * unit;
}

internal sealed record Point(int Depth, double Median, double Low, double High)
{
    public static Point Of(JsonElement test)
    {
        double tokens = test.GetProperty("tokens").GetInt32();
        double[] rates = [.. test.GetProperty("seconds").EnumerateArray().Select(seconds => tokens / seconds.GetDouble())];
        return new Point(test.GetProperty("depth").GetInt32(), test.GetProperty("median_tokens_per_second").GetDouble(), rates.Min(), rates.Max());
    }
}
