namespace Xlstm;

/// <summary>How far a load has come. Reported from one thread at a time, in order.</summary>
/// <param name="ShardsDone">Files of which every tensor has been read.</param>
/// <param name="Shards">Files in all.</param>
/// <param name="BytesDone">Bytes of tensors read.</param>
/// <param name="Bytes">Bytes of tensors to read in all.</param>
public readonly record struct LoadProgress(int ShardsDone, int Shards, long BytesDone, long Bytes);
