using System.Text.Json;

namespace Xlstm.Checkpoints;

/// <summary>
/// The JSON header of a safetensors file: <c>{"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"key": "text"}}</c>.
/// Offsets count from the end of the header; together the tensors cover the rest of the file without hole or overlap.
/// </summary>
internal sealed class SafetensorsHeader
{
    /// <summary>The format's own limit.</summary>
    public const long MaxLength = 100_000_000;

    private const int MaxDepth = 16;

    private readonly string _path;
    private readonly long _dataStart;
    private readonly long _dataLength;
    private readonly Dictionary<string, SafetensorsTensor> _tensors = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _metadata = new(StringComparer.Ordinal);

    private SafetensorsHeader(string path, long dataStart, long dataLength)
    {
        _path = path;
        _dataStart = dataStart;
        _dataLength = dataLength;
    }

    /// <summary>Tensors by name.</summary>
    public IReadOnlyDictionary<string, SafetensorsTensor> Tensors => _tensors;

    /// <summary>What <c>__metadata__</c> says.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _metadata;

    /// <summary>Parses and validates a header.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="json">The header.</param>
    /// <param name="dataStart">Where the tensors' bytes start in the file.</param>
    /// <param name="dataLength">How many bytes of the file lie after the header.</param>
    /// <exception cref="CheckpointException">Anything is wrong with it.</exception>
    public static SafetensorsHeader Parse(string path, ReadOnlySpan<byte> json, long dataStart, long dataLength)
    {
        var header = new SafetensorsHeader(path, dataStart, dataLength);
        try
        {
            header.ReadObject(json);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // InvalidOperationException is how Utf8JsonReader reports broken UTF-8 and lone surrogates in strings.
            throw new CheckpointException($"{path}: the header is not valid JSON: {ErrorText.Clean(e.Message)}", e);
        }

        header.CheckLayout();
        return header;
    }

    private void ReadObject(ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = MaxDepth });
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new CheckpointException($"{_path}: the header is not a JSON object");
        }

        bool metadataSeen = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            reader.Read();
            if (name == "__metadata__")
            {
                if (metadataSeen)
                {
                    throw new CheckpointException($"{_path}: the header has two __metadata__ entries");
                }

                metadataSeen = true;
                ReadMetadata(ref reader);
            }
            else
            {
                SafetensorsTensor tensor = ReadTensor(name, ref reader);
                if (!_tensors.TryAdd(name, tensor))
                {
                    throw TensorError(name, "is there twice");
                }
            }
        }

        // Nothing but white space may follow; the reader throws on anything else.
        reader.Read();
    }

    private void ReadMetadata(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new CheckpointException($"{_path}: __metadata__ is not a JSON object");
        }

        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
            {
                throw new CheckpointException($"{_path}: __metadata__ {ErrorText.Quote(key)} is not a string");
            }

            _metadata[key] = reader.GetString()!;
        }
    }

    private SafetensorsTensor ReadTensor(string name, ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw TensorError(name, "is not described by a JSON object");
        }

        string? dtype = null;
        List<long>? shape = null, offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            if ((key == "dtype" && dtype is not null) || (key == "shape" && shape is not null) || (key == "data_offsets" && offsets is not null))
            {
                throw TensorError(name, $"has two {key} entries");
            }

            switch (key)
            {
                case "dtype":
                    dtype = reader.TokenType == JsonTokenType.String ? reader.GetString()! : throw TensorError(name, "has a dtype that is not a string");
                    break;
                case "shape":
                    shape = ReadSizes(name, key, ref reader);
                    break;
                case "data_offsets":
                    offsets = ReadSizes(name, key, ref reader);
                    break;
                default:
                    reader.Skip();
                    break;
            }
        }

        if (dtype is null || shape is null || offsets is null)
        {
            throw TensorError(name, $"has no {(dtype is null ? "dtype" : shape is null ? "shape" : "data_offsets")}");
        }

        return CheckTensor(name, dtype, shape, offsets);
    }

    private List<long> ReadSizes(string name, string key, ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            throw TensorError(name, $"has a {key} that is not an array");
        }

        var sizes = new List<long>(2);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long size) || size < 0)
            {
                throw TensorError(name, $"has a {key} with an entry that is not a whole number in [0, 2^63)");
            }

            sizes.Add(size);
        }

        return sizes;
    }

    private SafetensorsTensor CheckTensor(string name, string dtype, List<long> shape, List<long> offsets)
    {
        if (!SafetensorsDtype.TryGetBits(dtype, out int bits))
        {
            throw TensorError(name, $"has unknown dtype {ErrorText.Quote(dtype)}");
        }

        if (offsets.Count != 2)
        {
            throw TensorError(name, $"has {offsets.Count} data_offsets, expected 2");
        }

        (long begin, long end) = (offsets[0], offsets[1]);
        if (begin > end)
        {
            throw TensorError(name, $"has data_offsets [{begin}, {end}], the end before the start");
        }

        if (end > _dataLength)
        {
            throw TensorError(name, $"has data_offsets [{begin}, {end}], but only {_dataLength} bytes follow the header: the file is cut short or damaged");
        }

        if (CountBytes(shape, bits) is not { } bytes)
        {
            throw TensorError(name, $"has shape {ErrorText.Shape(shape)} of {dtype}, which no file can hold");
        }

        if (bytes != end - begin)
        {
            throw TensorError(name, $"has {end - begin} bytes, expected {bytes} for {dtype} {ErrorText.Shape(shape)}");
        }

        return new SafetensorsTensor(name, dtype, shape.AsReadOnly(), _dataStart + begin, bytes);
    }

    /// <summary>Null when the count overflows or is not a whole number of bytes.</summary>
    private static long? CountBytes(List<long> shape, int bits)
    {
        UInt128 elements = 1;
        foreach (long size in shape)
        {
            // Stays below 2^126: both factors are below 2^63.
            elements *= (UInt128)size;
            if (elements > long.MaxValue)
            {
                // A later zero would make the tensor empty, but the format's own reader refuses the overflow too.
                return null;
            }
        }

        UInt128 totalBits = elements * (uint)bits;
        return totalBits % 8 == 0 && totalBits / 8 <= long.MaxValue ? (long)(totalBits / 8) : null;
    }

    private void CheckLayout()
    {
        long position = 0;
        foreach (SafetensorsTensor tensor in _tensors.Values.OrderBy(t => t.Offset).ThenBy(t => t.ByteLength))
        {
            long begin = tensor.Offset - _dataStart;
            if (begin != position)
            {
                throw TensorError(tensor.Name, begin < position ? $"starts at {begin}, inside another tensor that ends at {position}" : $"starts at {begin}, leaving a hole after {position}");
            }

            position += tensor.ByteLength;
        }

        if (position != _dataLength)
        {
            throw new CheckpointException($"{_path}: {_dataLength - position} bytes follow the last tensor, expected none");
        }
    }

    private CheckpointException TensorError(string name, string fault) => new($"{_path}: tensor {ErrorText.Quote(name)} {fault}");
}
