using System.Buffers;
using System.Text.Json;

namespace Xlstm.Checkpoints;

/// <summary>model.safetensors.index.json: which file holds which tensor.</summary>
internal static class ShardIndex
{
    /// <summary>The name Hugging Face gives it.</summary>
    public const string FileName = "model.safetensors.index.json";

    private const int MaxFileLength = 1 << 26;

    private static readonly SearchValues<char> PathCharacters = SearchValues.Create("/\\:*?\"<>|");

    /// <summary>Reads the weight_map: tensor name to file name, every file name a plain one inside the folder.</summary>
    /// <exception cref="CheckpointException">The index is missing, not JSON, or names a file outside its folder.</exception>
    public static IReadOnlyDictionary<string, string> Read(string path)
    {
        ReadOnlyMemory<byte> json = CheckpointInput.ReadAll(path, MaxFileLength);
        try
        {
            return Parse(path, json.Span);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new CheckpointException($"{path}: not valid JSON: {ErrorText.Clean(e.Message)}", e);
        }
    }

    /// <summary>Writes an index.</summary>
    /// <param name="totalBytes">Bytes of all tensors.</param>
    /// <param name="weightMap">Tensor and file names.</param>
    /// <returns>UTF-8.</returns>
    public static byte[] Write(long totalBytes, IEnumerable<(string Tensor, string File)> weightMap)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteStartObject("metadata");
            json.WriteNumber("total_size", totalBytes);
            json.WriteEndObject();
            json.WriteStartObject("weight_map");
            foreach ((string tensor, string file) in weightMap)
            {
                json.WriteString(tensor, file);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        stream.WriteByte((byte)'\n');
        return stream.ToArray();
    }

    private static Dictionary<string, string> Parse(string path, ReadOnlySpan<byte> json)
    {
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 16 });
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new CheckpointException($"{path}: not a JSON object");
        }

        Dictionary<string, string>? map = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool isMap = reader.ValueTextEquals("weight_map");
            reader.Read();
            if (!isMap)
            {
                reader.Skip();
            }
            else if (map is null)
            {
                map = ReadMap(path, ref reader);
            }
            else
            {
                throw new CheckpointException($"{path}: weight_map is there twice");
            }
        }

        reader.Read();
        return map is { Count: > 0 } ? map : throw new CheckpointException($"{path}: weight_map is {(map is null ? "missing" : "empty")}");
    }

    private static Dictionary<string, string> ReadMap(string path, ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new CheckpointException($"{path}: weight_map is not a JSON object");
        }

        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string tensor = reader.GetString()!;
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
            {
                throw new CheckpointException($"{path}: weight_map gives no file name for tensor {ErrorText.Quote(tensor)}");
            }

            string file = reader.GetString()!;
            if (!IsPlainName(file))
            {
                throw new CheckpointException($"{path}: weight_map names {ErrorText.Quote(file)} for tensor {ErrorText.Quote(tensor)}, expected the name of a .safetensors file in the same folder");
            }

            if (!map.TryAdd(tensor, file))
            {
                throw new CheckpointException($"{path}: weight_map names tensor {ErrorText.Quote(tensor)} twice");
            }
        }

        return map;
    }

    /// <summary>Neither a path nor a drive or stream on any platform, whichever this one is: an index travels between them.</summary>
    private static bool IsPlainName(string name) =>
        name.EndsWith(".safetensors", StringComparison.Ordinal)
        && name.Length is > 12 and <= 255
        && name[0] != '.'
        && name.AsSpan().IndexOfAny(PathCharacters) < 0
        && !name.Any(char.IsControl);
}
