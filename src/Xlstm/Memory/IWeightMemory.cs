namespace Xlstm.Memory;

/// <summary>Memory that all weights of a model lie in: allocated and filled, or a mapped file.</summary>
internal unsafe interface IWeightMemory : IDisposable
{
    /// <summary>The first byte.</summary>
    byte* Pointer { get; }

    /// <summary>Bytes.</summary>
    long ByteLength { get; }
}
