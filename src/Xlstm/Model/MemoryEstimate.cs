using Xlstm.Backends.Cpu;
using Xlstm.Checkpoints.Packed;

namespace Xlstm;

/// <summary>What a model takes of the machine's memory, in bytes; known before anything is read.</summary>
/// <param name="WeightBytes">All weights as held.</param>
/// <param name="StateBytes">One session's recurrent state.</param>
/// <param name="WorkspaceBytes">Activations of the largest batch.</param>
public readonly record struct MemoryEstimate(long WeightBytes, long StateBytes, long WorkspaceBytes)
{
    /// <summary>Weights, one session and workspace.</summary>
    public long TotalBytes => WeightBytes + StateBytes + WorkspaceBytes;

    /// <summary>The estimate for a model on the CPU.</summary>
    /// <param name="config">Its sizes.</param>
    /// <param name="format">How the weights are to be held.</param>
    /// <param name="threads">Threads that compute; null for the default.</param>
    /// <param name="mix">As <see cref="LoadOptions.Mix"/>.</param>
    public static MemoryEstimate For(XlstmConfig config, WeightFormat format, int? threads = null, bool mix = false)
    {
        ArgumentNullException.ThrowIfNull(config);
        return new MemoryEstimate(
            new PackedLayout(config, new WeightRecipe(format, mix)).ByteLength,
            sizeof(float) * RecurrentState.FloatCount(config),
            Workspace.MaxByteLength(config, threads ?? Machine.PhysicalCores));
    }
}
