using System.Runtime.InteropServices;

namespace Xlstm.Memory;

/// <summary>Memory outside the garbage collector's heap, aligned for vectors; large ones ask for huge pages, which spare the weights' streams most of their page walks.</summary>
internal sealed unsafe partial class NativeBuffer : IWeightMemory
{
    /// <summary>A cache line and a 512-bit vector.</summary>
    public const int Alignment = 64;

    private const long HugePageBytes = 2 << 20;

    private void* _pointer;

    /// <param name="byteLength">Length in bytes, at least 1.</param>
    /// <param name="zeroed">False for a caller that writes every byte: touching gigabytes twice is seconds.</param>
    /// <exception cref="XlstmException">The machine has not that much memory.</exception>
    public NativeBuffer(long byteLength, bool zeroed = true)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(byteLength, 1);
        ByteLength = byteLength;
        bool huge = byteLength >= 2 * HugePageBytes;
        nuint aligned = (nuint)((byteLength + Alignment - 1) / Alignment * Alignment);
        try
        {
            _pointer = NativeMemory.AlignedAlloc(aligned, (nuint)(huge ? HugePageBytes : Alignment));
        }
        catch (OutOfMemoryException e)
        {
            throw new XlstmException($"out of memory: {byteLength:N0} bytes could not be allocated", e);
        }

        if (huge && OperatingSystem.IsLinux())
        {
            // Advice only: a kernel that refuses it still serves the memory.
            _ = MemoryAdvise(_pointer, aligned, MadvHugePage);
        }

        if (zeroed)
        {
            NativeMemory.Clear(_pointer, aligned);
        }

        GC.AddMemoryPressure(byteLength);
    }

    ~NativeBuffer() => Free();

    /// <summary>Length in bytes.</summary>
    public long ByteLength { get; }

    /// <summary>The first byte; aligned to <see cref="Alignment"/>.</summary>
    /// <exception cref="ObjectDisposedException">The buffer was freed.</exception>
    public byte* Pointer
    {
        get
        {
            ObjectDisposedException.ThrowIf(_pointer is null, this);
            return (byte*)_pointer;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (_pointer is not null)
        {
            NativeMemory.AlignedFree(_pointer);
            _pointer = null;
            GC.RemoveMemoryPressure(ByteLength);
        }
    }

    private const int MadvHugePage = 14;

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int MemoryAdvise(void* address, nuint length, int advice);
}
