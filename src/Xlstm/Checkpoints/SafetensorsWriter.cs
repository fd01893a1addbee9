using System.Buffers;
using System.Buffers.Binary;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace Xlstm.Checkpoints;

/// <summary>A tensor to be written.</summary>
/// <param name="Name">Its name, unique in the file.</param>
/// <param name="Dtype">What its elements are, in the format's words: F32, BF16, U8...</param>
/// <param name="Shape">Sizes, outermost first.</param>
public sealed record SafetensorsTensorSpec(string Name, string Dtype, IReadOnlyList<long> Shape)
{
    /// <param name="name">Its name, unique in the file.</param>
    /// <param name="type">What its elements are.</param>
    /// <param name="shape">Sizes, outermost first.</param>
    public SafetensorsTensorSpec(string name, ElementType type, IReadOnlyList<long> shape)
        : this(name, SafetensorsDtype.NameOf(type), shape)
    {
    }
}

/// <summary>
/// Writes a safetensors file whose tensors are known beforehand. The bytes go to a temporary file beside the target, which
/// <see cref="Complete"/> renames: a reader sees the whole file or none, and disposing without it leaves nothing behind.
/// </summary>
public sealed class SafetensorsWriter : IDisposable
{
    // The format asks for 8; a packed file is mapped and read by vectors of 64 bytes.
    private const int Alignment = 64;

    private readonly string _path;
    private readonly string _temporaryPath;
    private readonly SafeFileHandle _handle;
    private readonly IReadOnlyList<SafetensorsTensorSpec> _tensors;
    private readonly long[] _starts;
    private readonly long _dataStart;
    private long _bytesWritten;
    private long _position;
    private int _tensor;
    private bool _completed;

    private SafetensorsWriter(string path, IReadOnlyList<SafetensorsTensorSpec> tensors, long[] starts, byte[] header)
    {
        _path = path;
        _temporaryPath = $"{path}.{Path.GetRandomFileName()}.partial";
        _tensors = tensors;
        _starts = starts;
        _dataStart = header.Length;
        _handle = Try(() => File.OpenHandle(_temporaryPath, FileMode.CreateNew, FileAccess.Write, FileShare.None, FileOptions.None, preallocationSize: header.Length + starts[^1]));
        try
        {
            WriteBytes(header, 0);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Starts a file and writes its header.</summary>
    /// <param name="path">The target; replaced by <see cref="Complete"/> if it exists.</param>
    /// <param name="tensors">What will be written, in this order.</param>
    /// <param name="metadata">Texts for the header's <c>__metadata__</c>.</param>
    /// <exception cref="ArgumentException">Two tensors have the same name, a dtype is unknown, a size is negative, or the sizes overflow.</exception>
    /// <exception cref="XlstmException">The file cannot be created, or the disk has too little space.</exception>
    public static SafetensorsWriter Create(string path, IReadOnlyList<SafetensorsTensorSpec> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(tensors);
        long[] starts = new long[tensors.Count + 1];
        for (int i = 0; i < tensors.Count; i++)
        {
            starts[i + 1] = checked(starts[i] + ByteLength(tensors[i]));
        }

        return new SafetensorsWriter(path, tensors, starts, Header(tensors, starts, metadata));
    }

    /// <summary>Appends values, converted to the dtype of the tensor they fall into.</summary>
    /// <param name="values">The next elements; may go on into the next tensor.</param>
    /// <exception cref="ArgumentException">There are more values than tensors hold.</exception>
    /// <exception cref="XlstmException">The file cannot be written.</exception>
    public void Write(ReadOnlySpan<float> values)
    {
        while (!values.IsEmpty)
        {
            while (_tensor < _tensors.Count && _position == _starts[_tensor + 1])
            {
                _tensor++;
            }

            ThrowIfBeyondEnd(_tensor == _tensors.Count, nameof(values));
            ElementType type = SafetensorsDtype.ToElementType(_tensors[_tensor].Dtype)
                ?? throw new ArgumentException($"Values cannot be converted to {_tensors[_tensor].Dtype}.", nameof(values));
            int size = SafetensorsDtype.SizeOf(type);
            int count = (int)Math.Min(values.Length, (_starts[_tensor + 1] - _position) / size);
            byte[] buffer = ArrayPool<byte>.Shared.Rent(count * size);
            try
            {
                Span<byte> bytes = buffer.AsSpan(0, count * size);
                ElementConversion.FromFloat32(values[..count], type, bytes);
                Write(bytes);
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }

            values = values[count..];
        }
    }

    /// <summary>Appends bytes as they are.</summary>
    /// <param name="bytes">The next bytes, little-endian.</param>
    /// <exception cref="ArgumentException">There are more bytes than tensors hold.</exception>
    /// <exception cref="XlstmException">The file cannot be written.</exception>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        ThrowIfBeyondEnd(bytes.Length > _starts[^1] - _position, nameof(bytes));
        WriteAt(0, _position, bytes);
        _position += bytes.Length;
    }

    /// <summary>Makes the file appear under its name.</summary>
    /// <exception cref="InvalidOperationException">Bytes are missing.</exception>
    /// <exception cref="XlstmException">The file cannot be renamed.</exception>
    public void Complete()
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        if (_bytesWritten != _starts[^1])
        {
            throw new InvalidOperationException($"{_path}: {_bytesWritten} of {_starts[^1]} bytes were written.");
        }

        _handle.Dispose();
        Try(() =>
        {
            File.Move(_temporaryPath, _path, overwrite: true);
            return true;
        });
        _completed = true;
    }

    /// <summary>Closes the file; deletes it unless it was completed.</summary>
    public void Dispose()
    {
        _handle.Dispose();
        if (!_completed)
        {
            try
            {
                File.Delete(_temporaryPath);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // What made the write fail is being reported already; a stray temporary file must not hide it.
            }
        }
    }

    /// <summary>Writes bytes of one tensor at any place. Thread-safe; every byte must be written once, and not mixed with the appending calls.</summary>
    internal void WriteAt(int tensor, long offset, ReadOnlySpan<byte> bytes)
    {
        WriteBytes(bytes, _dataStart + _starts[tensor] + offset);
        Interlocked.Add(ref _bytesWritten, bytes.Length);
    }

    private static long ByteLength(SafetensorsTensorSpec tensor)
    {
        if (!SafetensorsDtype.TryGetBits(tensor.Dtype, out int bits) || bits % 8 != 0)
        {
            throw new ArgumentException($"{tensor.Dtype} is not a dtype of whole bytes.", nameof(tensor));
        }

        long length = bits / 8;
        foreach (long size in tensor.Shape)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(size, nameof(tensor));
            length = checked(length * size);
        }

        return length;
    }

    private static byte[] Header(IReadOnlyList<SafetensorsTensorSpec> tensors, long[] starts, IReadOnlyDictionary<string, string>? metadata)
    {
        var buffer = new ArrayBufferWriter<byte>();
        buffer.Advance(WriteLengthPlaceholder(buffer));
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            if (metadata is not null)
            {
                json.WriteStartObject("__metadata__");
                foreach ((string key, string text) in metadata)
                {
                    json.WriteString(key, text);
                }

                json.WriteEndObject();
            }

            var names = new HashSet<string>(StringComparer.Ordinal) { "__metadata__" };
            for (int i = 0; i < tensors.Count; i++)
            {
                if (!names.Add(tensors[i].Name))
                {
                    throw new ArgumentException($"The tensor name {ErrorText.Quote(tensors[i].Name)} is taken.", nameof(tensors));
                }

                WriteEntry(json, tensors[i], starts[i], starts[i + 1]);
            }

            json.WriteEndObject();
        }

        // Spaces until the tensors' bytes start aligned, as the format's own writer does.
        int padding = -buffer.WrittenCount & (Alignment - 1);
        buffer.GetSpan(padding)[..padding].Fill((byte)' ');
        buffer.Advance(padding);
        byte[] header = buffer.WrittenSpan.ToArray();
        BinaryPrimitives.WriteUInt64LittleEndian(header, (ulong)header.Length - sizeof(ulong));
        return header;
    }

    private static int WriteLengthPlaceholder(ArrayBufferWriter<byte> buffer)
    {
        buffer.GetSpan(sizeof(ulong))[..sizeof(ulong)].Clear();
        return sizeof(ulong);
    }

    private static void WriteEntry(Utf8JsonWriter json, SafetensorsTensorSpec tensor, long begin, long end)
    {
        json.WriteStartObject(tensor.Name);
        json.WriteString("dtype", tensor.Dtype);
        json.WriteStartArray("shape");
        foreach (long size in tensor.Shape)
        {
            json.WriteNumberValue(size);
        }

        json.WriteEndArray();
        json.WriteStartArray("data_offsets");
        json.WriteNumberValue(begin);
        json.WriteNumberValue(end);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void ThrowIfBeyondEnd(bool beyond, string parameter)
    {
        if (beyond)
        {
            throw new ArgumentException("More was given than the tensors hold.", parameter);
        }
    }

    private void WriteBytes(ReadOnlySpan<byte> bytes, long offset)
    {
        try
        {
            RandomAccess.Write(_handle, bytes, offset);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CannotWrite(e);
        }
    }

    private T Try<T>(Func<T> action)
    {
        try
        {
            return action();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw CannotWrite(e);
        }
    }

    private XlstmException CannotWrite(Exception e) => new($"{_path}: cannot be written: {ErrorText.Clean(e.Message)}", e);
}
