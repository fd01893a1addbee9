namespace Xlstm.Backends;

/// <summary>What a batch item wants back.</summary>
internal enum Output
{
    /// <summary>Only the state moves on.</summary>
    None,

    /// <summary>Logits after the item's last token, [V].</summary>
    LastLogits,

    /// <summary>Logits after every token of the item, [T, V].</summary>
    AllLogits,

    /// <summary>Of the logits after the item's last token those that its sampler looks at; all of them stay with the state.</summary>
    Shortlist,
}

/// <summary>One sequence's share of a batch: tokens to feed and what to hand back. Prefill, decode and batched decode differ only in how many items and tokens there are.</summary>
/// <param name="State">The sequence's state, moved on in place. No two items of a batch may share one.</param>
/// <param name="Tokens">At least one token id, each in [0, V).</param>
/// <param name="Output">What is wanted.</param>
/// <param name="Logits">float32 [V] or [T, V] to write, as <paramref name="Output"/> says; otherwise unused.</param>
/// <param name="Shortlist">Says what the sampler looks at and takes it, for <see cref="Output.Shortlist"/>.</param>
internal readonly record struct BatchItem(RecurrentState State, ReadOnlyMemory<int> Tokens, Output Output, Memory<float> Logits, Shortlist? Shortlist = null);

/// <summary>Where the arithmetic happens. It knows tensors and states, nothing of requests. Thread-safe: calls of <see cref="Forward"/> take turns.</summary>
internal abstract class Backend : IDisposable
{
    /// <summary>The device, for people: "CPU, 2 threads, AVX-512".</summary>
    public abstract string Description { get; }

    /// <summary>Threads that compute.</summary>
    public abstract int Threads { get; }

    /// <summary>How the weight matrices are held.</summary>
    public abstract WeightFormat Weights { get; }

    /// <summary>How the states of sessions are held.</summary>
    public abstract StateFormat State { get; }

    /// <summary>Bytes of one state.</summary>
    public abstract long StateBytes { get; }

    /// <summary>Bytes of weights held.</summary>
    public abstract long WeightBytes { get; }

    /// <summary>Bytes of weights that one step of decoding reads: all but the embeddings, of which it takes a row a token, unless they are lm_head too.</summary>
    public abstract long StepWeightBytes { get; }

    /// <summary>Bytes of a state that one token reads, and writes again.</summary>
    public abstract long StepStateBytes { get; }

    /// <summary>Bytes held beside weights and states, at the largest batch.</summary>
    public abstract long WorkspaceBytes { get; }

    /// <summary>Most tokens, over all items, that one call of <see cref="Forward"/> takes.</summary>
    public abstract int MaxBatchTokens { get; }

    /// <summary>The most that a shortlist may want; 0 where there are none, since the host has all logits anyway.</summary>
    public virtual int MaxShortlist => 0;

    /// <summary>Tokens of a long prompt that are not worth cutting: at most <see cref="MaxBatchTokens"/>.</summary>
    public abstract int SmallestChunk { get; }

    /// <summary>A state before the first token: all zero.</summary>
    public abstract RecurrentState CreateState();

    /// <summary>Moves every item's state on by its tokens and hands back what it asks for. The result of an item does not depend on the others.</summary>
    /// <param name="items">At least one item; at most <see cref="MaxBatchTokens"/> tokens in all.</param>
    public abstract void Forward(ReadOnlySpan<BatchItem> items);

    /// <inheritdoc cref="MemoryBandwidth.Measure(XlstmModel, long)"/>
    public abstract MemoryBandwidth? MeasureMemory(long wantedBytes);

    /// <inheritdoc/>
    public abstract void Dispose();
}
