using System.Runtime.Intrinsics;
using Xlstm.Checkpoints.Packed;
using Xlstm.Memory;

namespace Xlstm.Calibration;

/// <summary>
/// Rounds up to 64 rows of a matrix to int4 so that the errors of a row's columns cancel in its output as far as they can:
/// column by column, each weight first moved to where it makes good the errors of those before it (<see cref="ErrorFactor"/>). A
/// group's scale and minimum are chosen when it is reached, for the weights as they have been moved. Columns run down, rows are lanes.
/// </summary>
internal sealed unsafe class CompensatedRows : IDisposable
{
    /// <summary>Most rows.</summary>
    public const int Capacity = TileProduct.Size;

    private const int GroupSize = PackedMatrix.GroupSize;
    private const int Lanes = Int4GroupFit.Lanes;

    // Scales and minima are stored as bytes relative to the row's largest, which is not known before its last group. Moved
    // weights may need more than the original ones did; a tenth more costs less precision than clamping would.
    private const float Headroom = 1.1f;

    private readonly int _columns;
    private readonly int _groups;
    private readonly int _rowBytes;
    private readonly bool[] _compensated = new bool[Capacity];
    private readonly NativeBuffer _memory;

    // float32 [groups * 32, 64], columns down.
    private readonly float* _weights;

    // What rounding has taken from each weight, likewise.
    private readonly float* _errors;

    // The columns of the group under way, moved by the errors of all groups before it, [32, 64].
    private readonly float* _moved;

    // ScaleUnit and MinimumUnit of every row, [2, 64].
    private readonly float* _units;

    private readonly byte* _rows;

    /// <param name="columns">K.</param>
    public CompensatedRows(int columns)
    {
        _columns = columns;
        _groups = PackedMatrix.GroupCount(columns);
        _rowBytes = (Int4Row.ByteLength(columns) + 3) / 4 * 4;
        long tile = (long)_groups * GroupSize * Capacity;
        _memory = new NativeBuffer((sizeof(float) * ((2 * tile) + ((GroupSize + 2) * Capacity))) + (2L * Capacity * _rowBytes));
        _weights = (float*)_memory.Pointer;
        _errors = _weights + tile;
        _moved = _errors + tile;
        _units = _moved + (GroupSize * Capacity);
        _rows = (byte*)(_units + (2 * Capacity));
    }

    /// <summary>A row as <see cref="Round"/> left it: compensated, or to nearest where that has the smaller error.</summary>
    public Int4Row this[int lane] => _compensated[lane] ? Compensated(lane) : Nearest(lane);

    /// <summary>Sets a row of weights, and rounds it to nearest for comparison.</summary>
    /// <param name="lane">Row, in [0, 64).</param>
    /// <param name="values">float32 [K].</param>
    public void Set(int lane, ReadOnlySpan<float> values)
    {
        for (int k = 0; k < values.Length; k++)
        {
            _weights[((long)k * Capacity) + lane] = values[k];
        }

        Nearest(lane).Round(values);
    }

    /// <summary>Rounds all rows; what was never set is zero.</summary>
    /// <param name="factor">Of the input that they are multiplied with.</param>
    public void Round(ErrorFactor factor)
    {
        float* nearest = stackalloc float[Capacity];
        float* compensated = stackalloc float[Capacity];
        new Span<float>(nearest, Capacity).Clear();
        new Span<float>(compensated, Capacity).Clear();
        NearestError(factor, nearest);
        for (int lane = 0; lane < Capacity; lane++)
        {
            Int4Row row = Compensated(lane);
            _units[lane] = row.ScaleUnit = Nearest(lane).ScaleUnit * Headroom;
            _units[Capacity + lane] = row.MinimumUnit = Nearest(lane).MinimumUnit * Headroom;
        }

        for (int group = 0; group < _groups; group++)
        {
            Move(factor, group, _weights);
            for (int lane = 0; lane < Capacity; lane += Lanes)
            {
                RoundGroup(factor, group, lane, compensated + lane);
            }
        }

        for (int lane = 0; lane < Capacity; lane++)
        {
            _compensated[lane] = compensated[lane] <= nearest[lane];
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    private Int4Row Nearest(int lane) => new(_rows + ((long)lane * _rowBytes), _columns);

    private Int4Row Compensated(int lane) => new(_rows + ((Capacity + (long)lane) * _rowBytes), _columns);

    /// <summary>Takes a group's columns of <paramref name="source"/>, moved by the errors of all groups before it.</summary>
    private void Move(ErrorFactor factor, int group, float* source)
    {
        int first = group * GroupSize;
        new ReadOnlySpan<float>(source + ((long)first * Capacity), GroupSize * Capacity).CopyTo(new Span<float>(_moved, GroupSize * Capacity));
        TileProduct.Add(_moved, Capacity, factor.Column(first), factor.Stride, 1, _errors, Capacity, GroupSize, Capacity, first);
    }

    /// <summary>Column <paramref name="j"/> of the group under way, 16 rows, moved by the errors inside the group as well.</summary>
    private Vector512<float> Inside(ErrorFactor factor, int first, int j, int lane)
    {
        float* column = factor.Column(first + j) + first;
        float* errors = _errors + ((long)first * Capacity) + lane;
        Vector512<float> sum = Vector512.Load(_moved + (j * Capacity) + lane);
        for (int i = 0; i < j; i++)
        {
            sum = Vector512.MultiplyAddEstimate(Vector512.Create(column[i]), Vector512.Load(errors + (i * Capacity)), sum);
        }

        return sum;
    }

    /// <summary>Adds up the squared error of the outputs when every row is rounded to nearest.</summary>
    private void NearestError(ErrorFactor factor, float* errors)
    {
        for (int lane = 0; lane < Capacity; lane++)
        {
            Int4Row row = Nearest(lane);
            for (int k = 0; k < _columns; k++)
            {
                long at = ((long)k * Capacity) + lane;
                _errors[at] = _weights[at] - row[k];
            }
        }

        for (int first = 0; first < _columns; first += GroupSize)
        {
            Move(factor, first / GroupSize, _errors);
            for (int lane = 0; lane < Capacity; lane += Lanes)
            {
                Vector512<float> sum = Vector512.Load(errors + lane);
                for (int j = 0; j < Math.Min(GroupSize, _columns - first); j++)
                {
                    Vector512<float> miss = Inside(factor, first, j, lane);
                    sum += Vector512.Create(factor.Diagonal[first + j]) * miss * miss;
                }

                sum.Store(errors + lane);
            }
        }
    }

    /// <summary>Rounds a group of 16 rows with the candidate that costs least when it is rounded in order, and adds its cost.</summary>
    private void RoundGroup(ErrorFactor factor, int group, int lane, float* error)
    {
        float* x = stackalloc float[GroupSize * Lanes];
        float* w = stackalloc float[GroupSize * Lanes];
        for (int j = 0; j < GroupSize; j++)
        {
            int column = (group * GroupSize) + j;
            (column < _columns ? Vector512.Load(_moved + (j * Capacity) + lane) : default).Store(x + (j * Lanes));
            Vector512.Create(column < _columns ? factor.Diagonal[column] : 0).Store(w + (j * Lanes));
        }

        var fit = new Int4GroupFit(x, w);
        (Vector512<float> scale, Vector512<float> minimum) = fit.Whole;
        StoredSteps best = Steps(scale, minimum, lane);
        Vector512<float> bestError = RoundInOrder(factor, group, lane, best, final: false);
        for (int step = 0; step < Int4GroupFit.Count; step++)
        {
            (scale, minimum, Vector512<float> fitted) = fit.Candidate(step);
            StoredSteps candidate = Steps(scale, minimum, lane);
            Vector512<float> cost = RoundInOrder(factor, group, lane, candidate, final: false);
            Vector512<float> better = Vector512.LessThan(cost, bestError) & Vector512.LessThan(fitted, Vector512.Create(float.PositiveInfinity));
            best = new StoredSteps(Vector512.ConditionalSelect(better, candidate.Scale, best.Scale), Vector512.ConditionalSelect(better, candidate.Minimum, best.Minimum));
            bestError = Vector512.ConditionalSelect(better, cost, bestError);
        }

        (Vector512.Load(error) + RoundInOrder(factor, group, lane, best, final: true)).Store(error);
        Vector512<int> scaleBytes = Vector512.ConvertToInt32(best.Scale), minimumBytes = Vector512.ConvertToInt32(best.Minimum);
        for (int r = 0; r < Lanes; r++)
        {
            Int4Row row = Compensated(lane + r);
            (row.Scales[group], row.Minima[group]) = ((byte)scaleBytes[r], (byte)minimumBytes[r]);
        }
    }

    /// <summary>The nearest scale and minimum that can be stored.</summary>
    private StoredSteps Steps(Vector512<float> scale, Vector512<float> minimum, int lane)
    {
        Vector512<float> zero = Vector512<float>.Zero, top = Vector512.Create((float)byte.MaxValue);
        Vector512<float> scaleUnit = Vector512.Load(_units + lane), minimumUnit = Vector512.Load(_units + Capacity + lane);
        Vector512<float> scaleSteps = Vector512.Min(Vector512.Max(Vector512.Round(scale / scaleUnit), Vector512<float>.One), top);
        Vector512<float> minimumSteps = Vector512.Min(Vector512.Round(minimum / minimumUnit), top);
        return new StoredSteps(
            Vector512.ConditionalSelect(Vector512.GreaterThan(scale, zero) & Vector512.GreaterThan(scaleUnit, zero), scaleSteps, zero),
            Vector512.ConditionalSelect(Vector512.GreaterThan(minimum, zero) & Vector512.GreaterThan(minimumUnit, zero), minimumSteps, zero));
    }

    /// <summary>Rounds the columns of a group one after the other, each moved by the errors before it, and keeps their errors.</summary>
    /// <param name="factor">Of the input.</param>
    /// <param name="group">The group.</param>
    /// <param name="lane">The first of 16 rows.</param>
    /// <param name="steps">Their scales and minima.</param>
    /// <param name="final">Keep the nibbles too.</param>
    /// <returns>What the group adds to the squared error of the outputs.</returns>
    private Vector512<float> RoundInOrder(ErrorFactor factor, int group, int lane, StoredSteps steps, bool final)
    {
        Vector512<float> zero = Vector512<float>.Zero, sum = zero;
        Vector512<float> scale = Vector512.Load(_units + lane) * steps.Scale, minimum = Vector512.Load(_units + Capacity + lane) * steps.Minimum;
        Vector512<float> inverse = Vector512<float>.One / scale;
        inverse = Vector512.ConditionalSelect(Vector512.LessThan(inverse, Vector512.Create(float.PositiveInfinity)), inverse, zero);
        int first = group * GroupSize;
        for (int j = 0; j < GroupSize; j++)
        {
            Vector512<float> wanted = first + j < _columns ? Inside(factor, first, j, lane) : zero;
            Vector512<float> q = Vector512.Min(Vector512.Max(Vector512.Round((wanted + minimum) * inverse), zero), Vector512.Create(15f));
            if (first + j < _columns)
            {
                Vector512<float> value = (scale * q) - minimum, miss = wanted - value;
                long at = ((long)(first + j) * Capacity) + lane;
                (Vector512.Load(_weights + at) - value).Store(_errors + at);
                sum += Vector512.Create(factor.Diagonal[first + j]) * miss * miss;
            }

            if (final)
            {
                Vector512<int> nibbles = Vector512.ConvertToInt32(q);
                for (int r = 0; r < Lanes; r++)
                {
                    Compensated(lane + r).Q[first + j] = (byte)nibbles[r];
                }
            }
        }

        return sum;
    }

    /// <summary>Scales and minima of 16 groups, whole numbers of the rows' units.</summary>
    private readonly record struct StoredSteps(Vector512<float> Scale, Vector512<float> Minimum);
}
