namespace Xlstm;

/// <summary>
/// C, n and m of every block for one sequence: what an attention model needs a KV cache for, in a size that does not grow.
/// Layout, everywhere a state is copied to or from: block by block C[H][dqk][dv], n[H][dqk], m[H], float32.
/// </summary>
internal abstract class RecurrentState : IDisposable
{
    /// <summary>Floats of one sequence's state.</summary>
    public static long FloatCount(XlstmConfig config) => config.NumBlocks * BlockFloatCount(config);

    /// <summary>Floats of one block's state.</summary>
    public static long BlockFloatCount(XlstmConfig config) =>
        config.NumHeads * (((long)config.QkHeadDim * config.VHeadDim) + config.QkHeadDim + 1);

    /// <summary>Bytes held on the device.</summary>
    public abstract long ByteLength { get; }

    /// <summary>Back to the state before the first token: all zero.</summary>
    public abstract void Reset();

    /// <summary>Copies the state out.</summary>
    /// <param name="destination">float32 [<see cref="FloatCount"/>].</param>
    public abstract void CopyTo(Span<float> destination);

    /// <summary>Replaces the state.</summary>
    /// <param name="source">float32 [<see cref="FloatCount"/>].</param>
    public abstract void CopyFrom(ReadOnlySpan<float> source);

    /// <inheritdoc/>
    public abstract void Dispose();
}
