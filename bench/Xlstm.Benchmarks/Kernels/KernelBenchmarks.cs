using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using Perfolizer.Horology;

namespace Xlstm.Benchmarks.Kernels;

/// <summary>The kernels one by one, under BenchmarkDotNet.</summary>
internal static class KernelBenchmarks
{
    /// <param name="args">BenchmarkDotNet's own arguments; without a filter everything runs.</param>
    public static int Run(string[] args)
    {
        // Short: a kernel is a loop of known length, and its ceiling is a property of the machine, so a few iterations tell.
        Job job = Job.Default.WithWarmupCount(2).WithIterationCount(5).WithMinIterationTime(TimeInterval.FromMilliseconds(100)).WithId("short");
        IConfig config = ManualConfig.Create(DefaultConfig.Instance).AddJob(job.AsDefault())
            .AddColumn(new RateColumn("GMAC/s", "Multiplications with weights or state a second", work => work.Products))
            .AddColumn(new RateColumn("GB/s", "Bytes of weights, state or text a second", work => work.Bytes))
            .WithBuildTimeout(TimeSpan.FromMinutes(10))
            .HideColumns(Column.Error, Column.StdDev, Column.Median, Column.RatioSD);
        string[] arguments = args.Contains("--filter") || args.Contains("--list") ? args : ["--filter", "*", .. args];
        return BenchmarkSwitcher.FromAssembly(typeof(KernelBenchmarks).Assembly).Run(arguments, config).Any(summary => summary.HasCriticalValidationErrors) ? 1 : 0;
    }
}

/// <summary>What one operation of a benchmark does.</summary>
/// <param name="Products">Multiplications with weights or state; 0 where they are not the measure.</param>
/// <param name="Bytes">Bytes of weights, state (reads and writes) or text.</param>
internal readonly record struct Work(double Products, double Bytes);

/// <summary>A benchmark that knows how much an operation does.</summary>
internal interface IKernelBenchmark
{
    /// <summary>The work of an operation of the current parameters, for the method of this name.</summary>
    Work WorkOf(string method);
}

/// <summary>Work a nanosecond, which is giga a second.</summary>
internal sealed class RateColumn(string name, string legend, Func<Work, double> amount) : IColumn
{
    public string Id => name;

    public string ColumnName => name;

    public bool AlwaysShow => true;

    public ColumnCategory Category => ColumnCategory.Custom;

    public int PriorityInCategory => 0;

    public bool IsNumeric => true;

    public UnitType UnitType => UnitType.Dimensionless;

    public string Legend => legend;

    public bool IsAvailable(BenchmarkDotNet.Reports.Summary summary) => true;

    public bool IsDefault(BenchmarkDotNet.Reports.Summary summary, BenchmarkCase benchmarkCase) => false;

    public string GetValue(BenchmarkDotNet.Reports.Summary summary, BenchmarkCase benchmarkCase)
    {
        if (summary[benchmarkCase]?.ResultStatistics is not { } statistics || Activator.CreateInstance(benchmarkCase.Descriptor.Type) is not IKernelBenchmark benchmark)
        {
            return "";
        }

        foreach (var parameter in benchmarkCase.Parameters.Items)
        {
            benchmarkCase.Descriptor.Type.GetProperty(parameter.Name)!.SetValue(benchmark, parameter.Value);
        }

        double total = amount(benchmark.WorkOf(benchmarkCase.Descriptor.WorkloadMethod.Name));
        double rate = total / statistics.Median;
        return total > 0 ? rate.ToString(rate < 1 ? "F3" : "F1", System.Globalization.CultureInfo.InvariantCulture) : "";
    }

    public string GetValue(BenchmarkDotNet.Reports.Summary summary, BenchmarkCase benchmarkCase, BenchmarkDotNet.Reports.SummaryStyle style) => GetValue(summary, benchmarkCase);

    public override string ToString() => name;
}
