using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Xlstm.Cli.Bench;

/// <summary>What <c>xlstm bench</c> measured, and on what.</summary>
internal sealed record BenchReport
{
    public required string Cpu { get; init; }

    public required int LogicalCores { get; init; }

    /// <summary>The GPUs that runs were on; null, and not in JSON, if none was.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Gpus => Runs.Any(run => run.OnGpu) ? [.. Runs.Where(run => run.OnGpu).Select(run => run.Device).Distinct()] : null;

    public required string System { get; init; }

    public required string Runtime { get; init; }

    public required DateTime Date { get; init; }

    public required string Model { get; init; }

    public required long Parameters { get; init; }

    /// <summary>One sequence's recurrent state.</summary>
    public required long StateBytes { get; init; }

    public required string Command { get; init; }

    public required IReadOnlyList<BenchRun> Runs { get; init; }

    public string ToJson() => JsonSerializer.Serialize(this, BenchJson.Relaxed.BenchReport);
}

/// <summary>One weight format on one number of threads.</summary>
internal sealed record BenchRun
{
    public required string Weights { get; init; }

    /// <summary>Null on a GPU.</summary>
    public required int? Threads { get; init; }

    /// <summary>Device and instruction set.</summary>
    public required string Device { get; init; }

    [JsonIgnore]
    public bool OnGpu => Threads is null;

    public required long WeightBytes { get; init; }

    /// <summary>One sequence's recurrent state.</summary>
    [JsonIgnore]
    public long StateBytes { get; init; }

    public required double LoadSeconds { get; init; }

    /// <summary>Resident memory of the process after the tests: weights, the states of the largest batch, workspace, runtime.</summary>
    public required long ResidentBytes { get; init; }

    /// <summary>
    /// DRAM read bandwidth with as many threads; of a GPU that of a copy, read and written; null of several GPUs. The fastest pass before and
    /// after the tests.
    /// </summary>
    public required double? DramBytesPerSecond { get; init; }

    /// <summary>The median pass, of the measurement that had the faster one.</summary>
    public required double? DramMedianBytesPerSecond { get; init; }

    /// <summary>Bytes read in a pass, or copied.</summary>
    public required long? DramBufferBytes { get; init; }

    public required IReadOnlyList<BenchRow> Tests { get; init; }
}

/// <summary>One test. Rates of bytes and products are at the median speed.</summary>
internal sealed record BenchRow
{
    public required string Test { get; init; }

    public required int Tokens { get; init; }

    public required int Depth { get; init; }

    public required int Batch { get; init; }

    public required double TokensPerSecond { get; init; }

    public required double Deviation { get; init; }

    public required double MedianTokensPerSecond { get; init; }

    public required double? WeightBytesPerSecond { get; init; }

    public required double? StateBytesPerSecond { get; init; }

    /// <summary>Weights and state together over the DRAM bandwidth.</summary>
    public required double? DramShare { get; init; }

    public required double ProductsPerSecond { get; init; }

    public required IReadOnlyList<double> Seconds { get; init; }

    public static BenchRow Of(SpeedResult result, double? dramBytesPerSecond) => new()
    {
        Test = result.Test.Name,
        Tokens = result.Test.Tokens,
        Depth = result.Test.Depth,
        Batch = result.Test.Batch,
        TokensPerSecond = result.TokensPerSecond,
        Deviation = result.Deviation,
        MedianTokensPerSecond = result.MedianTokensPerSecond,
        WeightBytesPerSecond = result.WeightBytesPerSecond,
        StateBytesPerSecond = result.StateBytesPerSecond,
        DramShare = (result.WeightBytesPerSecond + result.StateBytesPerSecond) / dramBytesPerSecond,
        ProductsPerSecond = result.ProductsPerSecond,
        Seconds = result.Seconds,
    };
}

[JsonSerializable(typeof(BenchReport))]
internal sealed partial class BenchJson : JsonSerializerContext
{
    public static BenchJson Relaxed { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}
