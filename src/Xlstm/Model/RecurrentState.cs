namespace Xlstm;

/// <summary>
/// C, n and m of every block for one sequence: what an attention model needs a KV cache for, in a size that does not grow.
/// Layout, everywhere a state is copied to or from: block by block C[H][dqk][dv], n[H][dqk], m[H], float32.
/// </summary>
/// <param name="config">The model's sizes.</param>
internal abstract class RecurrentState(XlstmConfig config) : IDisposable
{
    /// <summary>The sizes it is laid out for.</summary>
    public XlstmConfig Config { get; } = config;

    /// <summary>Bytes held on the device.</summary>
    public abstract long ByteLength { get; }

    /// <summary>Floats of one sequence's state.</summary>
    public static long FloatCount(XlstmConfig config) => config.NumBlocks * BlockFloatCount(config);

    /// <summary>Floats of one block's state.</summary>
    public static long BlockFloatCount(XlstmConfig config) =>
        config.NumHeads * (((long)config.QkHeadDim * config.VHeadDim) + config.QkHeadDim + 1);

    /// <summary>Back to the state before the first token: all zero.</summary>
    public abstract void Reset();

    /// <summary>Copies one block's state out: C[H][dqk][dv], n[H][dqk], m[H].</summary>
    /// <param name="block">The block, in [0, L).</param>
    /// <param name="destination">float32 [<see cref="BlockFloatCount"/>].</param>
    public abstract void CopyBlockTo(int block, Span<float> destination);

    /// <summary>Replaces one block's state.</summary>
    /// <param name="block">The block, in [0, L).</param>
    /// <param name="source">float32 [<see cref="BlockFloatCount"/>], in the layout of <see cref="CopyBlockTo"/>.</param>
    public abstract void CopyBlockFrom(int block, ReadOnlySpan<float> source);

    /// <summary>Replaces the whole state by another of the same backend and sizes, without leaving the device. Returns when <paramref name="source"/> may be changed again.</summary>
    public abstract void CopyFrom(RecurrentState source);

    /// <summary>Copies out the logits after the last token, which stay with the state when a batch made a shortlist of them.</summary>
    /// <param name="destination">float32 [V].</param>
    public virtual void CopyLogitsTo(Span<float> destination) => throw new InvalidOperationException("no logits stay with the states of this device");

    /// <summary>Copies the whole state out.</summary>
    /// <param name="destination">float32 [<see cref="FloatCount"/>].</param>
    public void CopyTo(Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(destination.Length, FloatCount(Config), nameof(destination));
        int length = (int)BlockFloatCount(Config);
        for (int block = 0; block < Config.NumBlocks; block++)
        {
            CopyBlockTo(block, destination.Slice(block * length, length));
        }
    }

    /// <summary>Replaces the whole state.</summary>
    /// <param name="source">float32 [<see cref="FloatCount"/>].</param>
    public void CopyFrom(ReadOnlySpan<float> source)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(source.Length, FloatCount(Config), nameof(source));
        int length = (int)BlockFloatCount(Config);
        for (int block = 0; block < Config.NumBlocks; block++)
        {
            CopyBlockFrom(block, source.Slice(block * length, length));
        }
    }

    /// <inheritdoc/>
    public abstract void Dispose();
}
