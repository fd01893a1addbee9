namespace Xlstm.Backends.Cuda;

/// <summary>
/// A batch's way through the blocks of one GPU: first what the host has to say, then, on a GPU that is not the first, the
/// residual stream of the one before it, then the kernels, and on the last GPU the results.
/// </summary>
internal interface IPass : IDisposable
{
    /// <summary>The residual stream, float32 [T, D], once <see cref="Prepare"/> has run.</summary>
    ulong X { get; }

    /// <summary>Checks a batch and copies its list to the device.</summary>
    /// <param name="items">The batch.</param>
    /// <param name="part">The number of this GPU, and of its part of the states.</param>
    void Prepare(ReadOnlySpan<BatchItem> items, int part);

    /// <summary>Queues the kernels.</summary>
    void Queue();

    /// <summary>Waits, and hands the results out.</summary>
    void Finish(ReadOnlySpan<BatchItem> items);
}
