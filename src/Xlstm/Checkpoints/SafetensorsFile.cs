using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace Xlstm.Checkpoints;

/// <summary>A safetensors file with its header read and validated. Tensors are read by position; reads are thread-safe.</summary>
public sealed class SafetensorsFile : IDisposable
{
    private const int LengthPrefix = sizeof(ulong);

    private readonly SafeFileHandle _handle;
    private readonly SafetensorsHeader _header;

    private SafetensorsFile(string path, SafeFileHandle handle, SafetensorsHeader header, long dataLength)
    {
        FilePath = path;
        _handle = handle;
        _header = header;
        DataLength = dataLength;
    }

    /// <summary>The file.</summary>
    public string FilePath { get; }

    /// <summary>Bytes of all tensors.</summary>
    public long DataLength { get; }

    /// <summary>Tensors by name.</summary>
    public IReadOnlyDictionary<string, SafetensorsTensor> Tensors => _header.Tensors;

    /// <summary>What the header's <c>__metadata__</c> says; empty when it has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>Opens a file and validates its header: every tensor's dtype, shape, size and place, and that the file is as long as they need.</summary>
    /// <param name="path">The file; may be a symbolic link.</param>
    /// <exception cref="CheckpointException">The file cannot be read or is not sound.</exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        SafeFileHandle handle = CheckpointInput.Open(path, out long length);
        try
        {
            if (length < LengthPrefix)
            {
                throw new CheckpointException($"{path}: {length} bytes long, too short for a safetensors file");
            }

            Span<byte> prefix = stackalloc byte[LengthPrefix];
            CheckpointInput.ReadExactly(handle, path, what: "the header", prefix, 0);
            if (prefix.SequenceEqual("version "u8))
            {
                // As a length it would be absurd anyway.
                throw new CheckpointException($"{path}: is a Git LFS pointer instead of the file itself: fetch that with git lfs pull");
            }

            ulong claimed = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
            if (claimed > (ulong)(length - LengthPrefix))
            {
                throw new CheckpointException($"{path}: the header claims {claimed} bytes, but the file has {length}: it is cut short or no safetensors file");
            }

            if (claimed > SafetensorsHeader.MaxLength)
            {
                throw new CheckpointException($"{path}: the header claims {claimed} bytes, the format allows {SafetensorsHeader.MaxLength}");
            }

            byte[] json = new byte[claimed];
            CheckpointInput.ReadExactly(handle, path, what: "the header", json, LengthPrefix);
            long dataStart = LengthPrefix + json.Length;
            var header = SafetensorsHeader.Parse(path, json, dataStart, length - dataStart);
            return new SafetensorsFile(path, handle, header, length - dataStart);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Reads bytes of a tensor, as stored (little-endian, row-major).</summary>
    /// <param name="tensor">A tensor of this file.</param>
    /// <param name="offset">First byte, from the tensor's start.</param>
    /// <param name="destination">Filled completely.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the tensor.</exception>
    /// <exception cref="CheckpointException">The file got shorter or cannot be read.</exception>
    public void Read(SafetensorsTensor tensor, long offset, Span<byte> destination)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, tensor.ByteLength);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(destination.Length, tensor.ByteLength - offset, nameof(destination));
        CheckpointInput.ReadExactly(_handle, FilePath, $"tensor {ErrorText.Quote(tensor.Name)}", destination, tensor.Offset + offset);
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _handle.Dispose();
}
