namespace Xlstm.Checkpoints;

/// <summary>How <see cref="Synthesizer"/> makes a checkpoint.</summary>
public sealed record SynthesisOptions
{
    /// <summary>What the tensors are stored as.</summary>
    public ElementType Type { get; init; } = ElementType.Float32;

    /// <summary>Number of safetensors files; one is called model.safetensors and needs no index.</summary>
    public int Shards { get; init; } = 1;

    /// <summary>Other weights for another seed, the same for the same on every machine.</summary>
    public ulong Seed { get; init; }
}

/// <summary>How far a synthesis has come. Reported from one thread at a time, in order.</summary>
/// <param name="ShardsDone">Files completed.</param>
/// <param name="Shards">Files in all.</param>
/// <param name="BytesDone">Bytes of tensors written.</param>
/// <param name="Bytes">Bytes of tensors in all.</param>
public readonly record struct SynthesisProgress(int ShardsDone, int Shards, long BytesDone, long Bytes);
