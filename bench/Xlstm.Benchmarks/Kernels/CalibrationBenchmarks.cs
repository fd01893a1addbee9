using BenchmarkDotNet.Attributes;
using Xlstm.Calibration;

namespace Xlstm.Benchmarks.Kernels;

/// <summary>What calibration of int4 is made of, at the widths of xLSTM-7B, one thread.</summary>
public unsafe class CalibrationBenchmarks : IKernelBenchmark, IDisposable
{
    private const int Tokens = 512;

    private readonly ParallelOptions _oneThread = new() { MaxDegreeOfParallelism = 1 };
    private SecondMoments? _moments;
    private ActivationRows? _rows;
    private CompensatedRows? _weights;
    private ErrorFactor? _factor;

    /// <summary>K.</summary>
    [Params(4096, 10944)]
    public int Columns { get; set; }

    /// <summary>X^T X = I: no speed here depends on the numbers. The factorization is in place, so it is made anew.</summary>
    [IterationSetup]
    public void SetUp()
    {
        _moments = Identity();
        _factor = ErrorFactor.Of(Identity(), 0.05f, new ParallelOptions());
        _rows = new ActivationRows(Columns, Tokens) { Count = Tokens };
        _weights = new CompensatedRows(Columns);
        var random = new Random(1);
        float[] row = [.. Enumerable.Range(0, Columns).Select(_ => random.NextSingle() - 0.5f)];
        for (int lane = 0; lane < CompensatedRows.Capacity; lane++)
        {
            _weights.Set(lane, row);
        }
    }

    /// <summary>X^T X of 512 tokens.</summary>
    [Benchmark]
    public void Moments() => _moments!.Add(_rows!, _oneThread);

    /// <summary>M D M^T of X^T X.</summary>
    [Benchmark]
    public object Factor() => ErrorFactor.Of(_moments!, 0.05f, _oneThread);

    /// <summary>64 rows of weights.</summary>
    [Benchmark]
    public void Round() => _weights!.Round(_factor!);

    /// <summary>Frees what <see cref="SetUp"/> made.</summary>
    [IterationCleanup]
    public void Dispose()
    {
        _moments?.Dispose();
        _factor?.Dispose();
        _rows?.Dispose();
        _weights?.Dispose();
        GC.SuppressFinalize(this);
    }

    Work IKernelBenchmark.WorkOf(string method) => new(method switch
    {
        nameof(Moments) => Tokens * (double)Columns * Columns / 2,
        nameof(Factor) => Math.Pow(Columns, 3) / 6,
        _ => CompensatedRows.Capacity * (double)Columns * Columns, // half as much to nearest, for comparison, and half compensated
    }, 0);

    private SecondMoments Identity()
    {
        var moments = new SecondMoments(Columns);
        for (int k = 0; k < Columns; k++)
        {
            moments.Values[((long)k * moments.Stride) + k] = 1;
        }

        return moments;
    }
}
