namespace Xlstm.Checkpoints;

/// <summary>One safetensors file of a checkpoint.</summary>
/// <param name="Name">Its file name.</param>
/// <param name="TensorBytes">Bytes of its tensors.</param>
public sealed record CheckpointShard(string Name, long TensorBytes);
