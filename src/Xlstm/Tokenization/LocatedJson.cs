using System.Text.Json;
using Xlstm.Checkpoints;

namespace Xlstm.Tokenization;

/// <summary>A value of a JSON file that knows where it stands, so that what is wrong with it can be said in one line.</summary>
internal readonly struct LocatedJson
{
    /// <summary>Above the largest published tokenizer.json of this kind, and small enough to be read into memory.</summary>
    private const int MaxFileBytes = 64 << 20;

    private const int MaxQuotedLength = 60;

    private readonly string _file;
    private readonly string _parent;
    private readonly string? _name;
    private readonly int _index;
    private readonly JsonElement _element;

    private LocatedJson(string file, string parent, string? name, int index, JsonElement element)
    {
        _file = file;
        _parent = parent;
        _name = name;
        _index = index;
        _element = element;
    }

    public bool IsArray => _element.ValueKind == JsonValueKind.Array;

    public bool IsString => _element.ValueKind == JsonValueKind.String;

    private string Path => _name switch
    {
        null => $"{_parent}[{_index}]",
        _ when _parent.Length == 0 => _name,
        _ => $"{_parent}.{_name}",
    };

    /// <summary>Reads a whole file, which must be one JSON object, and hands it to <paramref name="read"/>.</summary>
    /// <exception cref="CheckpointException">The file cannot be read, is not a JSON object, or <paramref name="read"/> found it wrong.</exception>
    public static T ReadFile<T>(string file, Func<LocatedJson, T> read)
    {
        try
        {
            using var document = JsonDocument.Parse(
                ReadBytes(file), new JsonDocumentOptions { MaxDepth = 64, AllowDuplicateProperties = false });
            var root = new LocatedJson(file, "", "", 0, document.RootElement);
            return root._element.ValueKind == JsonValueKind.Object ? read(root) : throw root.Error($"expected a JSON object, found {root.Describe()}");
        }
        catch (JsonException e)
        {
            throw new CheckpointException($"{file}: not valid JSON: {OneLine(e.Message)}", e);
        }
        catch (InvalidOperationException e)
        {
            // What JsonElement throws when a string that was asked for cannot be Unicode text.
            throw new CheckpointException($"{file}: a string is not valid Unicode: {OneLine(e.Message)}", e);
        }
    }

    /// <summary>A string as it may stand in an error line.</summary>
    public static string Quote(string text) =>
        text.Length <= MaxQuotedLength ? $"\"{OneLine(text)}\"" : $"\"{OneLine(text[..MaxQuotedLength])}...\"";

    /// <summary>The member of that name, or null where it is missing or null.</summary>
    public LocatedJson? Optional(string name)
    {
        if (_element.ValueKind != JsonValueKind.Object)
            throw Error($"expected an object, found {Describe()}");
        return _element.TryGetProperty(name, out JsonElement member) && member.ValueKind != JsonValueKind.Null ? Member(name, member) : null;
    }

    public LocatedJson Required(string name) => Optional(name) ?? throw Error($"expected \"{name}\", found none");

    public IEnumerable<(string Name, LocatedJson Value)> Members()
    {
        if (_element.ValueKind != JsonValueKind.Object)
            throw Error($"expected an object, found {Describe()}");
        foreach (JsonProperty member in _element.EnumerateObject())
            yield return (member.Name, Member(member.Name, member.Value));
    }

    public IEnumerable<LocatedJson> Items()
    {
        if (!IsArray)
            throw Error($"expected an array, found {Describe()}");
        string path = Path;
        int index = 0;
        foreach (JsonElement item in _element.EnumerateArray())
            yield return new LocatedJson(_file, path, null, index++, item);
    }

    public string AsString() => IsString ? _element.GetString()! : throw Error($"expected a string, found {Describe()}");

    public bool AsBoolean() => _element.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Error($"expected true or false, found {Describe()}"),
    };

    public double AsNumber() => _element.ValueKind == JsonValueKind.Number && _element.TryGetDouble(out double number)
        ? number
        : throw Error($"expected a number, found {Describe()}");

    /// <summary>An integer from 0 to <paramref name="max"/>.</summary>
    public int AsInteger(int max) =>
        _element.ValueKind == JsonValueKind.Number && _element.TryGetInt32(out int number) && number >= 0 && number <= max
            ? number
            : throw Error($"expected an integer from 0 to {max}, found {Describe()}");

    public CheckpointException Error(string message) => new(Path.Length == 0 ? $"{_file}: {message}" : $"{_file}: {OneLine(Path)}: {message}");

    private static byte[] ReadBytes(string file)
    {
        try
        {
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            if (stream.Length > MaxFileBytes)
                throw new CheckpointException($"{file}: expected at most {MaxFileBytes} bytes, found {stream.Length}");
            byte[] bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            return bytes;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CheckpointException($"{file}: expected a file, found none", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new CheckpointException($"{file}: cannot be read: {OneLine(e.Message)}", e);
        }
    }

    private static string OneLine(string text) =>
        string.Create(text.Length, text, (line, source) =>
        {
            for (int i = 0; i < line.Length; i++)
                line[i] = char.IsControl(source[i]) || char.IsSurrogate(source[i]) || source[i] is '\u2028' or '\u2029' ? '?' : source[i];
        });

    private LocatedJson Member(string name, JsonElement member) => new(_file, Path, name, 0, member);

    private string Describe() => _element.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => Quote(_element.GetString()!),
        JsonValueKind.Number => _element.GetRawText() is { Length: > MaxQuotedLength } raw ? raw[..MaxQuotedLength] + "..." : _element.GetRawText(),
        JsonValueKind.True => "true",
        JsonValueKind.False => "false",
        _ => "null",
    };
}
