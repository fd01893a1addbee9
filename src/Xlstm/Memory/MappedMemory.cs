using System.IO.MemoryMappedFiles;

namespace Xlstm.Memory;

/// <summary>
/// Part of a file, mapped read-only: nothing is copied, and processes that map the same file share its pages. The file must
/// not be cut short while it is mapped; the operating system ends a process that reads past its end.
/// </summary>
internal sealed unsafe class MappedMemory : IWeightMemory
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private byte* _start;

    /// <param name="path">The file.</param>
    /// <param name="offset">First byte.</param>
    /// <param name="byteLength">Bytes; all of them inside the file.</param>
    public MappedMemory(string path, long offset, long byteLength)
    {
        ByteLength = byteLength;
        _file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, mapName: null, capacity: 0, MemoryMappedFileAccess.Read);
        try
        {
            // From the file's start: views may begin only at page borders, and the accessor hides what lies before its own.
            _view = _file.CreateViewAccessor(0, offset + byteLength, MemoryMappedFileAccess.Read);
            byte* pointer = null;
            _view.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
            _start = pointer + _view.PointerOffset + offset;
        }
        catch
        {
            _view?.Dispose();
            _file.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public long ByteLength { get; }

    /// <inheritdoc/>
    public byte* Pointer
    {
        get
        {
            ObjectDisposedException.ThrowIf(_start is null, this);
            return _start;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_start is not null)
        {
            _start = null;
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
            _file.Dispose();
        }
    }
}
