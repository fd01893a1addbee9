using CsCheck;
using Xlstm.Calibration;
using Xlstm.Checkpoints.Packed;
using Xunit;

namespace Xlstm.Tests.Calibration;

/// <summary>Risk: compensated weights are worse than rounded ones, or not what GPTQ makes, or degenerate activations make garbage of them.</summary>
public unsafe class CompensationTests
{
    private static readonly Gen<CalibrationProblem> Problems =
        from tokens in Gen.Int[1, 90]
        from columns in Gen.OneOf(Gen.Int[1, 140], Gen.Int[1, 4].Select(groups => 32 * groups))
        from rows in Gen.Int[1, 5]
        from kind in Gen.Enum<Columns>()
        from seed in Gen.Int[0, 10_000]
        select CalibrationProblem.Random(tokens, columns, rows, kind, seed);

    [Fact]
    public void TheFactorIsThatOfTheDampedMoments() => Problems.Sample(
        problem =>
        {
            using ErrorFactor factor = problem.Factor();
            for (int i = 0; i < problem.Columns; i++)
            {
                Assert.True(factor.Diagonal[i] >= CalibrationProblem.Damping, "a pivot is at least the damping");
                for (int j = i; j < problem.Columns; j++)
                {
                    double sum = 0;
                    for (int k = j; k < problem.Columns; k++)
                    {
                        sum += (k == i ? 1 : factor.Column(k)[i]) * (double)factor.Diagonal[k] * (k == j ? 1 : factor.Column(k)[j]);
                    }

                    Assert.Equal(problem.H[i, j], sum, 1e-5 * Math.Sqrt(problem.H[i, i] * problem.H[j, j]) * problem.Columns);
                }
            }
        },
        iter: 60);

    [Fact]
    public void EveryWeightIsRoundedAsGptqMovesIt() => Problems.Sample(
        problem =>
        {
            using ErrorFactor factor = problem.Factor();
            using var rows = new CompensatedRows(problem.Columns);
            Set(rows, problem);
            rows.Round(factor);
            double[,] root = problem.InverseRoot();
            for (int lane = 0; lane < problem.Weights.Length; lane++)
            {
                // GPTQ as published: after a column its error, divided by the root's diagonal, moves all later columns.
                Int4Row row = rows[lane];
                double[] moved = [.. problem.Weights[lane].Select(w => (double)w)];
                bool asPublished = true;
                for (int j = 0; j < problem.Columns; j++)
                {
                    double scale = row.ScaleUnit * row.Scales[j / 32], minimum = row.MinimumUnit * row.Minima[j / 32];
                    double ideal = scale > 0 ? Math.Clamp((moved[j] + minimum) / scale, 0, 15) : 0;
                    asPublished &= Math.Abs(ideal - row.Q[j]) <= 0.5 + 1e-2;
                    double error = (moved[j] - row[j]) / root[j, j];
                    for (int k = j; k < problem.Columns; k++)
                    {
                        moved[k] -= error * root[j, k];
                    }
                }

                double compensated = problem.ErrorOf(Errors(problem, lane, row)), nearest = problem.ErrorOf(NearestErrors(problem, lane));
                Assert.True(asPublished || compensated == nearest, $"row {lane}: neither compensated nor rounded to nearest");
            }
        },
        iter: 60);

    [Fact]
    public void NeverWorseThanRoundingToNearest() => Problems.Sample(
        problem =>
        {
            using ErrorFactor factor = problem.Factor();
            using var rows = new CompensatedRows(problem.Columns);
            Set(rows, problem);
            rows.Round(factor);
            for (int lane = 0; lane < problem.Weights.Length; lane++)
            {
                double compensated = problem.ErrorOf(Errors(problem, lane, rows[lane])), nearest = problem.ErrorOf(NearestErrors(problem, lane));
                Assert.True(compensated <= nearest * 1.0001, $"row {lane}: {compensated} against {nearest}");
            }
        },
        iter: 150);

    [Fact]
    public void CorrelatedColumnsLoseMostOfTheirError()
    {
        CalibrationProblem problem = CalibrationProblem.Random(tokens: 400, columns: 200, rows: 64, Columns.Correlated, seed: 1);
        using ErrorFactor factor = problem.Factor();
        using var rows = new CompensatedRows(problem.Columns);
        Set(rows, problem);
        rows.Round(factor);
        double compensated = 0, nearest = 0;
        for (int lane = 0; lane < 64; lane++)
        {
            compensated += problem.ErrorOf(Errors(problem, lane, rows[lane]));
            nearest += problem.ErrorOf(NearestErrors(problem, lane));
        }

        Assert.InRange(compensated / nearest, 0, 0.5);
    }

    [Fact]
    public void AsManyRowsAsFitAreRoundedAsOneAlone()
    {
        CalibrationProblem problem = CalibrationProblem.Random(tokens: 100, columns: 100, rows: 64, Columns.Correlated, seed: 2);
        using ErrorFactor factor = problem.Factor(threads: 1), again = problem.Factor(threads: 3);
        using var rows = new CompensatedRows(problem.Columns);
        using var alone = new CompensatedRows(problem.Columns);
        Set(rows, problem);
        rows.Round(factor);
        for (int lane = 0; lane < 64; lane += 21)
        {
            alone.Set(0, problem.Weights[lane]);
            alone.Round(again);
            Int4Row one = alone[0], among = rows[lane];
            Assert.Equal(Enumerable.Range(0, 100).Select(k => one[k]), Enumerable.Range(0, 100).Select(k => among[k]));
        }
    }

    private static void Set(CompensatedRows rows, CalibrationProblem problem)
    {
        for (int lane = 0; lane < problem.Weights.Length; lane++)
        {
            rows.Set(lane, problem.Weights[lane]);
        }
    }

    private static double[] Errors(CalibrationProblem problem, int lane, Int4Row row) => [.. problem.Weights[lane].Select((w, k) => (double)w - row[k])];

    private static double[] NearestErrors(CalibrationProblem problem, int lane)
    {
        byte[] memory = new byte[Int4Row.ByteLength(problem.Columns)];
        fixed (byte* pointer = memory)
        {
            var row = new Int4Row(pointer, problem.Columns);
            row.Round(problem.Weights[lane]);
            return Errors(problem, lane, row);
        }
    }
}
