using System.Text.Json.Nodes;

namespace Xlstm.Tests;

/// <summary>A folder that is gone with the test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("xlstm-test-").FullName;

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public string Write(string name, byte[] content)
    {
        System.IO.File.WriteAllBytes(File(name), content);
        return File(name);
    }

    public string Write(string name, string content)
    {
        System.IO.File.WriteAllText(File(name), content);
        return File(name);
    }

    /// <summary>A copy of a committed checkpoint, without its goldens.</summary>
    public static TemporaryFolder CopyOf(string reference)
    {
        var folder = new TemporaryFolder();
        foreach (string source in Directory.EnumerateFiles(TestData.Reference(reference)).Where(f => !f.EndsWith("golden.safetensors", StringComparison.Ordinal)))
        {
            System.IO.File.Copy(source, folder.File(System.IO.Path.GetFileName(source)));
        }

        return folder;
    }

    public void EditJson(string name, Action<JsonNode> edit)
    {
        JsonNode json = JsonNode.Parse(System.IO.File.ReadAllText(File(name)))!;
        edit(json);
        Write(name, json.ToJsonString());
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
