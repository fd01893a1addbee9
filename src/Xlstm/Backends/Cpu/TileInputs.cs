namespace Xlstm.Backends.Cpu;

/// <summary>The forms in which matrix kernels read activations.</summary>
[Flags]
internal enum Encodings
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>float32, for float32 and bfloat16 weights: <see cref="ActivationTiles"/>.</summary>
    Float32 = 1,

    /// <summary>8 bits, for int8 weights: <see cref="QuantizedTiles"/>.</summary>
    ForInt8 = 2,

    /// <summary>8 bits, for int4 weights: <see cref="QuantizedTiles"/>.</summary>
    ForInt4 = 4,
}

/// <summary>An activation matrix [T, K] in tiles, in every form that has been asked for.</summary>
internal unsafe struct TileInputs
{
    public float* Float32;
    public byte* ForInt8;
    public byte* ForInt4;

    /// <summary>The form that weights of a format are multiplied with.</summary>
    public static Encodings Of(WeightFormat format) => format switch
    {
        WeightFormat.Int8 => Encodings.ForInt8,
        WeightFormat.Int4 => Encodings.ForInt4,
        _ => Encodings.Float32,
    };

    /// <summary>The forms that some layers need between them.</summary>
    public static Encodings Of(params ReadOnlySpan<LinearWeights> layers)
    {
        Encodings encodings = Encodings.None;
        foreach (LinearWeights layer in layers)
        {
            encodings |= Of(layer.Matrix.Format);
        }

        return encodings;
    }

    /// <summary>Bytes of one token in all forms together.</summary>
    public static long TokenBytes(int cols, Encodings encodings) =>
        (encodings.HasFlag(Encodings.Float32) ? sizeof(float) * (long)cols : 0)
        + (encodings.HasFlag(Encodings.ForInt8) ? QuantizedTiles.TokenBytes(cols, WeightFormat.Int8) : 0)
        + (encodings.HasFlag(Encodings.ForInt4) ? QuantizedTiles.TokenBytes(cols, WeightFormat.Int4) : 0);

    /// <summary>Lays the forms out in memory, one after the other, with room for a number of tokens.</summary>
    public static TileInputs Lay(byte* memory, int tokens, int cols, Encodings encodings)
    {
        TileInputs inputs = default;
        if (encodings.HasFlag(Encodings.Float32))
        {
            inputs.Float32 = (float*)memory;
            memory += sizeof(float) * (long)tokens * cols;
        }

        if (encodings.HasFlag(Encodings.ForInt8))
        {
            inputs.ForInt8 = memory;
            memory += (long)tokens * QuantizedTiles.TokenBytes(cols, WeightFormat.Int8);
        }

        if (encodings.HasFlag(Encodings.ForInt4))
        {
            inputs.ForInt4 = memory;
        }

        return inputs;
    }

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

        if (ForInt8 is not null || ForInt4 is not null)
        {
            QuantizedTiles.SetRow(tiles, token, row, cols, ForInt8, ForInt4);
        }
    }
}
