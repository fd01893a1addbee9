namespace Xlstm.Backends.Cpu;

/// <summary>
/// How the rows of an activation matrix [T, K] are cut into tiles for the matrix kernels. A tile of width w holds w tokens
/// column by column, <c>tile[k][token]</c>, so that a kernel broadcasts neighbouring floats; the last tile may have fewer
/// tokens than its width (what the kernel computes for the others is dropped). One token is a tile of width 1: the plain row.
/// </summary>
/// <param name="tokens">T.</param>
internal readonly struct ActivationTiles(int tokens)
{
    /// <summary>Width of the tiles that prefill is made of.</summary>
    public const int Wide = 12;

    /// <summary>Width of the tiles for small batches and remainders.</summary>
    public const int Narrow = 4;

    /// <summary>T.</summary>
    public int Tokens { get; } = tokens;

    /// <summary>Tiles of width 12: as many as fill up, and one more if at least 9 tokens remain.</summary>
    public int WideCount => (Tokens / Wide) + (Tokens % Wide > 2 * Narrow ? 1 : 0);

    /// <summary>Tiles of any width.</summary>
    public int Count => WideCount + ((Math.Max(0, Tokens - (WideCount * Wide)) + Narrow - 1) / Narrow);

    /// <summary>Tokens that there is room for in the tiles of T tokens.</summary>
    public static int PaddedCount(int tokens) => tokens == 1 ? 1 : tokens + Wide;

    /// <summary>The tile's first token, its tokens and its width.</summary>
    public (int First, int Count, int Width) this[int tile]
    {
        get
        {
            if (tile < WideCount)
            {
                int first = tile * Wide;
                return (first, Math.Min(Wide, Tokens - first), Wide);
            }

            int narrowFirst = (WideCount * Wide) + ((tile - WideCount) * Narrow);
            int count = Math.Min(Narrow, Tokens - narrowFirst);
            return (narrowFirst, count, count == 1 ? 1 : Narrow);
        }
    }

    /// <summary>The first token and the width of a token's tile.</summary>
    public (int First, int Width) TileOf(int token)
    {
        (int first, _, int width) = this[token < WideCount * Wide ? token / Wide : WideCount + ((token - (WideCount * Wide)) / Narrow)];
        return (first, width);
    }

    /// <summary>Copies a token's row into its tile.</summary>
    /// <param name="tiles">float32 [<see cref="PaddedCount"/>, K].</param>
    /// <param name="token">In [0, T).</param>
    /// <param name="row">float32 [K].</param>
    /// <param name="cols">K.</param>
    public unsafe void SetRow(float* tiles, int token, float* row, int cols)
    {
        (int first, int width) = TileOf(token);
        float* destination = tiles + ((long)first * cols) + (token - first);
        for (int k = 0; k < cols; k++)
        {
            *destination = row[k];
            destination += width;
        }
    }
}
