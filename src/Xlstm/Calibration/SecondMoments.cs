using Xlstm.Memory;

namespace Xlstm.Calibration;

/// <summary>
/// X^T X of what some matrices are multiplied with: how errors in two columns of a weight add up or cancel in the output. Only
/// the lower triangle is kept, by tiles; columns are padded with zeros to whole tiles.
/// </summary>
internal sealed unsafe class SecondMoments : IDisposable
{
    private const int Tile = TileProduct.Size;

    private readonly NativeBuffer _memory;

    /// <param name="columns">K.</param>
    public SecondMoments(int columns)
    {
        Columns = columns;
        Stride = (columns + Tile - 1) / Tile * Tile;
        _memory = new NativeBuffer(sizeof(float) * (long)Stride * Stride);
    }

    /// <summary>K.</summary>
    public int Columns { get; }

    /// <summary>K with padding: floats from one row to the next, and rows.</summary>
    public int Stride { get; }

    /// <summary>float32 [<see cref="Stride"/>, <see cref="Stride"/>]; meaningful in and below the tiles of the diagonal.</summary>
    public float* Values => (float*)_memory.Pointer;

    /// <summary>Adds some rows.</summary>
    /// <param name="rows">X.</param>
    /// <param name="options">Threads and cancellation.</param>
    public void Add(ActivationRows rows, ParallelOptions options)
    {
        int strips = Stride / Tile, tiles = strips * (strips + 1) / 2;
        Parallel.For(0, tiles, options, index =>
        {
            (int i, int j) = TriangleTile(index);
            TileProduct.Add(Values + ((long)i * Tile * Stride) + (j * Tile), Stride, rows.Strip(i), 1, Tile, rows.Strip(j), Tile, Tile, Tile, rows.Count);
        });
    }

    /// <summary>The row and column of a triangle's tile, counted row by row.</summary>
    public static (int Row, int Col) TriangleTile(int index)
    {
        int row = (int)((Math.Sqrt((8.0 * index) + 1) - 1) / 2);
        while (((long)row + 1) * (row + 2) / 2 <= index)
        {
            row++;
        }

        return (row, index - (row * (row + 1) / 2));
    }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();
}
