using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Xlstm.Tests.Reference;

/// <summary>One tensor of a safetensors file; values of every dtype widened to double.</summary>
internal sealed record StoredTensor(string DType, int[] Shape, double[] Values);

/// <summary>
/// The safetensors format in its fewest lines, apart from the library's reader so that a test can tell which of the two is wrong:
/// a length of 8 bytes, a JSON header, the tensors' little-endian bytes.
/// </summary>
internal static class TestSafetensors
{
    public static Dictionary<string, StoredTensor> Read(string path)
    {
        byte[] file = File.ReadAllBytes(path);
        int headerLength = (int)BinaryPrimitives.ReadUInt64LittleEndian(file);
        using var header = JsonDocument.Parse(file.AsMemory(8, headerLength));
        Dictionary<string, StoredTensor> tensors = [];
        foreach (JsonProperty entry in header.RootElement.EnumerateObject().Where(entry => entry.Name != "__metadata__"))
        {
            string dtype = entry.Value.GetProperty("dtype").GetString()!;
            int[] shape = [.. entry.Value.GetProperty("shape").EnumerateArray().Select(size => size.GetInt32())];
            int offset = 8 + headerLength + entry.Value.GetProperty("data_offsets")[0].GetInt32();
            var values = new double[shape.Aggregate(1, (a, b) => a * b)];
            int size = Size(dtype);
            for (int i = 0; i < values.Length; i++)
            {
                ReadOnlySpan<byte> bytes = file.AsSpan(offset + (i * size), size);
                values[i] = dtype switch
                {
                    "F32" => BinaryPrimitives.ReadSingleLittleEndian(bytes),
                    "F16" => (double)BinaryPrimitives.ReadHalfLittleEndian(bytes),
                    "BF16" => BitConverter.Int32BitsToSingle(BinaryPrimitives.ReadUInt16LittleEndian(bytes) << 16),
                    _ => throw new ArgumentException(dtype, nameof(path)),
                };
            }

            tensors.Add(entry.Name, new StoredTensor(dtype, shape, values));
        }

        return tensors;
    }

    public static void Write(string path, IReadOnlyDictionary<string, StoredTensor> tensors)
    {
        var header = new JsonObject();
        using var data = new MemoryStream();
        Span<byte> bytes = stackalloc byte[4];
        foreach ((string name, StoredTensor tensor) in tensors)
        {
            long start = data.Length;
            foreach (double value in tensor.Values)
            {
                switch (tensor.DType)
                {
                    case "F32": BinaryPrimitives.WriteSingleLittleEndian(bytes, (float)value); break;
                    case "F16": BinaryPrimitives.WriteHalfLittleEndian(bytes, (Half)value); break;
                    case "BF16": BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)(BitConverter.SingleToInt32Bits((float)value) >> 16)); break;
                    default: throw new ArgumentException(tensor.DType, nameof(tensors));
                }

                data.Write(bytes[..Size(tensor.DType)]);
            }

            header[name] = new JsonObject
            {
                ["dtype"] = tensor.DType,
                ["shape"] = new JsonArray([.. tensor.Shape.Select(size => (JsonNode)size)]),
                ["data_offsets"] = new JsonArray(start, data.Length),
            };
        }

        byte[] json = JsonSerializer.SerializeToUtf8Bytes(header);
        using FileStream file = File.Create(path);
        file.Write(BitConverter.GetBytes((ulong)json.Length));
        file.Write(json);
        data.WriteTo(file);
    }

    /// <summary>A value as a dtype holds it: rounded to nearest, ties to even.</summary>
    public static double Round(string dtype, double value)
    {
        int bits = BitConverter.SingleToInt32Bits((float)value);
        return dtype switch
        {
            "F16" => (double)(Half)value,
            "BF16" => BitConverter.Int32BitsToSingle((bits + 0x7FFF + ((bits >> 16) & 1)) & ~0xFFFF),
            _ => (float)value,
        };
    }

    private static int Size(string dtype) => dtype == "F32" ? 4 : 2;
}
