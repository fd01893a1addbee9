using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Xlstm.Cli.Output;

/// <summary>JSON on one line, with nothing escaped but what must be.</summary>
internal static class Json
{
    /// <summary>A value without the file's own line ends.</summary>
    public static string Compact(JsonElement value) => Write(value.WriteTo);

    /// <param name="members">Writes the members.</param>
    public static string Object(Action<Utf8JsonWriter> members) => Write(json =>
    {
        json.WriteStartObject();
        members(json);
        json.WriteEndObject();
    });

    private static string Write(Action<Utf8JsonWriter> write)
    {
        using var bytes = new MemoryStream();
        using (var json = new Utf8JsonWriter(bytes, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            write(json);
        }
        return Encoding.UTF8.GetString(bytes.GetBuffer(), 0, (int)bytes.Length);
    }
}
