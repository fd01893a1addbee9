using System.Runtime.Intrinsics;
using Xlstm.Memory;

namespace Xlstm.Calibration;

/// <summary>
/// X^T X + damping = M D M^T, M unit upper triangular, D diagonal. With e the errors of a row of weights, the squared error of its outputs is
/// e M D M^T e^T: the sum over columns j of D_j times the square of <c>e_j + sum_{i &lt; j} e_i M_ij</c>. So whoever rounds column by column
/// rounds <c>w_j + sum_{i &lt; j} e_i M_ij</c>, and pays D_j times the square of what that rounding misses. This is GPTQ (arXiv 2210.17323) in the form of LDLQ
/// (arXiv 2307.13304): the same roundings, with one factorization instead of an inversion between two.
/// </summary>
internal sealed unsafe class ErrorFactor : IDisposable
{
    private const int Tile = TileProduct.Size;

    private readonly SecondMoments _moments;
    private readonly NativeBuffer _diagonal;

    private ErrorFactor(SecondMoments moments)
    {
        _moments = moments;
        _diagonal = new NativeBuffer(sizeof(float) * (long)moments.Stride);
    }

    /// <summary>K.</summary>
    public int Columns => _moments.Columns;

    /// <summary>K with padding.</summary>
    public int Stride => _moments.Stride;

    /// <summary>D, float32 [<see cref="Stride"/>], at least the damping; 1 for padding. The mean of the diagonal of X^T X is 1.</summary>
    public float* Diagonal => (float*)_diagonal.Pointer;

    /// <summary>Column j of M, which has j meaningful elements: float32 [i] is M_ij.</summary>
    public float* Column(int j) => _moments.Values + ((long)j * Stride);

    /// <summary>Factorizes in place.</summary>
    /// <param name="moments">X^T X; owned from here on.</param>
    /// <param name="damping">Added to the diagonal, as a share of its mean.</param>
    /// <param name="options">Threads and cancellation.</param>
    public static ErrorFactor Of(SecondMoments moments, float damping, ParallelOptions options)
    {
        var factor = new ErrorFactor(moments);
        try
        {
            factor.Damp(damping, options);
            for (int block = (moments.Stride / Tile) - 1; block >= 0; block--)
            {
                factor.FactorBlock(block, damping, options);
            }

            return factor;
        }
        catch
        {
            factor.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _moments.Dispose();
        _diagonal.Dispose();
    }

    private void Damp(float damping, ParallelOptions options)
    {
        double trace = 0;
        for (int j = 0; j < Columns; j++)
        {
            trace += Column(j)[j];
        }

        float scale = trace > 0 ? (float)(Columns / trace) : 0;
        Parallel.For(0, Stride, options, j =>
        {
            float* row = Column(j);
            for (int i = 0; i <= j; i++)
            {
                row[i] *= scale;
            }

            row[j] = j < Columns ? row[j] + damping : 1;
        });
    }

    /// <summary>One block of columns, all later ones being done: its triangle, the columns of M above it, and what they take from the rest.</summary>
    private void FactorBlock(int block, float damping, ParallelOptions options)
    {
        FactorTriangle(block * Tile, damping);
        if (block == 0)
        {
            return;
        }

        using var strips = new NativeBuffer(sizeof(float) * (long)block * Tile * Tile, zeroed: false);
        using var scaled = new NativeBuffer(sizeof(float) * (long)block * Tile * Tile, zeroed: false);
        float* factors = (float*)strips.Pointer, minusD = (float*)scaled.Pointer;
        Parallel.For(0, block, options, strip => SolveStrip(block * Tile, strip, factors + ((long)strip * Tile * Tile), minusD + ((long)strip * Tile * Tile)));
        Parallel.For(0, block * (block + 1) / 2, options, index =>
        {
            (int i, int j) = SecondMoments.TriangleTile(index);
            TileProduct.Add(Column(i * Tile) + (j * Tile), Stride, minusD + ((long)i * Tile * Tile), 1, Tile, factors + ((long)j * Tile * Tile), Tile, Tile, Tile, Tile);
        });
    }

    private void FactorTriangle(int first, float damping)
    {
        double* h = stackalloc double[Tile * Tile];
        for (int s = 0; s < Tile; s++)
        {
            for (int i = 0; i <= s; i++)
            {
                h[(s * Tile) + i] = Column(first + s)[first + i];
            }
        }

        for (int s = Tile - 1; s >= 0; s--)
        {
            // No pivot of a positive semidefinite matrix plus the damping is below the damping; rounding errors may say so.
            double d = Math.Max(h[(s * Tile) + s], damping);
            Diagonal[first + s] = (float)d;
            for (int k = 0; k < s; k++)
            {
                double share = h[(s * Tile) + k] / d;
                for (int i = 0; i <= k; i++)
                {
                    h[(k * Tile) + i] -= share * h[(s * Tile) + i];
                }
            }

            for (int i = 0; i < s; i++)
            {
                h[(s * Tile) + i] /= d;
                Column(first + s)[first + i] = (float)h[(s * Tile) + i];
            }
        }
    }

    /// <summary>A tile of M above the block's triangle, also copied for the product that follows, by itself and times -D.</summary>
    private void SolveStrip(int first, int strip, float* factors, float* minusD)
    {
        for (int t = Tile - 1; t >= 0; t--)
        {
            float* row = Column(first + t) + (strip * Tile);
            Vector512<float> d = Vector512.Create(Diagonal[first + t]);
            for (int i = 0; i < Tile; i += Vector512<float>.Count)
            {
                Vector512<float> rest = Vector512.Load(row + i);
                for (int s = t + 1; s < Tile; s++)
                {
                    rest += Vector512.Create(Column(first + s)[first + t]) * Vector512.Load(minusD + (s * Tile) + i);
                }

                Vector512<float> solved = rest / d;
                solved.Store(row + i);
                solved.Store(factors + (t * Tile) + i);
                (-rest).Store(minusD + (t * Tile) + i);
            }
        }
    }
}
