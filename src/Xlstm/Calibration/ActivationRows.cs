using Xlstm.Memory;

namespace Xlstm.Calibration;

/// <summary>Some tokens' inputs of a matrix, float32 [T, K], in strips of 64 columns, [strip][T][64]: as products over tokens read them. The last strip is padded with zeros.</summary>
internal sealed unsafe class ActivationRows : IDisposable
{
    private const int Tile = TileProduct.Size;

    private readonly NativeBuffer _memory;
    private readonly int _capacity;

    /// <param name="columns">K.</param>
    /// <param name="capacity">Most rows at a time.</param>
    public ActivationRows(int columns, int capacity)
    {
        _capacity = capacity;
        _memory = new NativeBuffer(sizeof(float) * (long)((columns + Tile - 1) / Tile * Tile) * capacity);
    }

    /// <summary>T.</summary>
    public int Count { get; set; }

    /// <summary>float32 [T, 64].</summary>
    public float* Strip(int strip) => (float*)_memory.Pointer + ((long)strip * _capacity * Tile);

    /// <summary>Sets one row; different rows may be set at the same time.</summary>
    /// <param name="t">Row, in [0, T).</param>
    /// <param name="row">float32 [K].</param>
    public void Set(int t, ReadOnlySpan<float> row)
    {
        for (int first = 0; first < row.Length; first += Tile)
        {
            ReadOnlySpan<float> part = row.Slice(first, Math.Min(Tile, row.Length - first));
            part.CopyTo(new Span<float>(Strip(first / Tile) + ((long)t * Tile), Tile));
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();
}
