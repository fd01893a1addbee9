using Xlstm.Calibration;

namespace Xlstm.Tests.Calibration;

/// <summary>Activations and weights of one matrix, and what calibration comes to in plain double precision.</summary>
internal sealed class CalibrationProblem
{
    public const float Damping = 0.05f;

    private CalibrationProblem(int columns, float[][] activations, float[][] weights)
    {
        (Columns, Activations, Weights) = (columns, activations, weights);
        H = DampedMoments();
    }

    public int Columns { get; }

    /// <summary>[T][K].</summary>
    public float[][] Activations { get; }

    /// <summary>[rows][K].</summary>
    public float[][] Weights { get; }

    /// <summary>X^T X, its diagonal's mean 1, plus the damping.</summary>
    public double[,] H { get; }

    /// <summary>A random problem.</summary>
    /// <param name="tokens">T.</param>
    /// <param name="columns">K.</param>
    /// <param name="rows">Rows of weights.</param>
    /// <param name="kind">What is special about the columns.</param>
    /// <param name="seed">Of all numbers.</param>
    public static CalibrationProblem Random(int tokens, int columns, int rows, Columns kind, int seed)
    {
        var random = new Random(seed);
        float Normal() => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));

        // Few sources for many columns: correlated, as activations are.
        int sources = Math.Max(1, columns / 4);
        float[][] mixing = [.. Enumerable.Range(0, columns).Select(_ => Enumerable.Range(0, sources).Select(_ => Normal()).ToArray())];
        var activations = new float[tokens][];
        for (int t = 0; t < tokens; t++)
        {
            float[] source = [.. Enumerable.Range(0, sources).Select(_ => Normal())];
            activations[t] = [.. Enumerable.Range(0, columns).Select(k => kind switch
            {
                Calibration.Columns.Silent => 0,
                Calibration.Columns.SomeDead when k % 3 == 0 => 0,
                Calibration.Columns.SomeConstant when k % 3 == 0 => 2,
                Calibration.Columns.OneLoud when k == columns / 2 => 300 * Normal(),
                Calibration.Columns.Independent => Normal(),
                _ => mixing[k].Zip(source, (a, b) => a * b).Sum() + (0.3f * Normal()),
            })];
        }

        float[][] weights = [.. Enumerable.Range(0, rows).Select(row => Enumerable.Range(0, columns).Select(_ => row == 1 ? 0 : Normal() * 0.05f).ToArray())];
        return new CalibrationProblem(columns, activations, weights);
    }

    /// <summary>The code under test.</summary>
    public ErrorFactor Factor(int threads = 2)
    {
        var options = new ParallelOptions { MaxDegreeOfParallelism = threads };
        var moments = new SecondMoments(Columns);
        const int Piece = 24;
        using var rows = new ActivationRows(Columns, Piece);
        foreach (float[][] piece in Activations.Chunk(Piece))
        {
            rows.Count = piece.Length;
            for (int t = 0; t < piece.Length; t++)
            {
                rows.Set(t, piece[t]);
            }

            moments.Add(rows, options);
        }

        return ErrorFactor.Of(moments, Damping, options);
    }

    /// <summary>e H e^T.</summary>
    public double ErrorOf(double[] e)
    {
        double sum = 0;
        for (int i = 0; i < Columns; i++)
        {
            for (int j = 0; j < Columns; j++)
            {
                sum += e[i] * H[i, j] * e[j];
            }
        }

        return sum;
    }

    /// <summary>The upper triangular U with U^T U = H^-1: what GPTQ, as published, moves the weights by.</summary>
    public double[,] InverseRoot()
    {
        int n = Columns;
        double[,] lower = Cholesky(H), inverse = new double[n, n];
        for (int column = 0; column < n; column++)
        {
            var x = new double[n];
            for (int i = 0; i < n; i++)
            {
                double sum = i == column ? 1 : 0;
                for (int k = 0; k < i; k++)
                {
                    sum -= lower[i, k] * x[k];
                }

                x[i] = sum / lower[i, i];
            }

            for (int i = n - 1; i >= 0; i--)
            {
                double sum = x[i];
                for (int k = i + 1; k < n; k++)
                {
                    sum -= lower[k, i] * inverse[k, column];
                }

                inverse[i, column] = sum / lower[i, i];
            }
        }

        double[,] root = Cholesky(inverse), upper = new double[n, n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j <= i; j++)
            {
                upper[j, i] = root[i, j];
            }
        }

        return upper;
    }

    private static double[,] Cholesky(double[,] a)
    {
        int n = a.GetLength(0);
        var l = new double[n, n];
        for (int j = 0; j < n; j++)
        {
            for (int i = j; i < n; i++)
            {
                double sum = a[i, j];
                for (int k = 0; k < j; k++)
                {
                    sum -= l[i, k] * l[j, k];
                }

                l[i, j] = i == j ? Math.Sqrt(sum) : sum / l[j, j];
            }
        }

        return l;
    }

    private double[,] DampedMoments()
    {
        var h = new double[Columns, Columns];
        foreach (float[] x in Activations)
        {
            for (int i = 0; i < Columns; i++)
            {
                for (int j = 0; j < Columns; j++)
                {
                    h[i, j] += (double)x[i] * x[j];
                }
            }
        }

        double trace = Enumerable.Range(0, Columns).Sum(i => h[i, i]), scale = trace > 0 ? Columns / trace : 0;
        for (int i = 0; i < Columns; i++)
        {
            for (int j = 0; j < Columns; j++)
            {
                h[i, j] = (h[i, j] * scale) + (i == j ? Damping : 0);
            }
        }

        return h;
    }
}

/// <summary>Kinds of activations.</summary>
public enum Columns
{
    Correlated,
    Independent,
    SomeDead,
    SomeConstant,
    OneLoud,
    Silent,
}
