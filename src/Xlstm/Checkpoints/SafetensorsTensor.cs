namespace Xlstm.Checkpoints;

/// <summary>One tensor of a safetensors file.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Dtype">Its dtype in the format's words: F32, BF16, I32...</param>
/// <param name="Shape">Sizes, outermost first; none for a scalar.</param>
/// <param name="Offset">Where its bytes start, from the start of the file.</param>
/// <param name="ByteLength">How many bytes it has: elements * size of the dtype, checked.</param>
public sealed record SafetensorsTensor(string Name, string Dtype, IReadOnlyList<long> Shape, long Offset, long ByteLength);
