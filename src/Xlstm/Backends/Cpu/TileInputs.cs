namespace Xlstm.Backends.Cpu;

/// <summary>The forms in which matrix kernels read activations; which one for which weights, a kernel says.</summary>
[Flags]
internal enum Encodings
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>float32: <see cref="ActivationTiles"/>.</summary>
    Float32 = 1,

    /// <summary>8 bits, widened to 16: <see cref="QuantizedTiles"/>.</summary>
    Words = 2,

    /// <summary>8 bits: <see cref="QuantizedTiles"/>.</summary>
    Bytes = 4,
}

/// <summary>An activation matrix [T, K] in tiles, in every form that has been asked for.</summary>
internal unsafe struct TileInputs
{
    public float* Float32;
    public byte* Words;
    public byte* Bytes;

    /// <summary>Bytes of one token in all forms together.</summary>
    public static long TokenBytes(int cols, Encodings encodings) =>
        (encodings.HasFlag(Encodings.Float32) ? sizeof(float) * (long)cols : 0)
        + (encodings.HasFlag(Encodings.Words) ? QuantizedTiles.TokenBytes(cols, QuantizedTiles.WordsGroupBytes) : 0)
        + (encodings.HasFlag(Encodings.Bytes) ? QuantizedTiles.TokenBytes(cols, QuantizedTiles.BytesGroupBytes) : 0);

    /// <summary>Lays the forms out in memory, one after the other, with room for a number of tokens.</summary>
    public static TileInputs Lay(byte* memory, int tokens, int cols, Encodings encodings)
    {
        TileInputs inputs = default;
        if (encodings.HasFlag(Encodings.Float32))
        {
            inputs.Float32 = (float*)memory;
            memory += tokens * TokenBytes(cols, Encodings.Float32);
        }

        if (encodings.HasFlag(Encodings.Words))
        {
            inputs.Words = memory;
            memory += tokens * TokenBytes(cols, Encodings.Words);
        }

        if (encodings.HasFlag(Encodings.Bytes))
        {
            inputs.Bytes = memory;
        }

        return inputs;
    }

    /// <summary>The tile that starts with a token, in one form.</summary>
    public readonly byte* Tile(Encodings encoding, int firstToken, int cols) => (encoding switch
    {
        Encodings.Words => Words,
        Encodings.Bytes => Bytes,
        _ => (byte*)Float32,
    }) + (firstToken * TokenBytes(cols, encoding));

    /// <summary>Writes a token's row in all forms.</summary>
    /// <param name="tiles">How the tokens are tiled.</param>
    /// <param name="token">In [0, T).</param>
    /// <param name="row">float32 [K]; may be the tile itself when there is one token.</param>
    /// <param name="cols">K.</param>
    public readonly void SetRow(ActivationTiles tiles, int token, float* row, int cols)
    {
        if (Float32 is not null && Float32 != row)
        {
            tiles.SetRow(Float32, token, row, cols);
        }

        if (Words is not null || Bytes is not null)
        {
            QuantizedTiles.SetRow(tiles, token, row, cols, Words, Bytes);
        }
    }
}
