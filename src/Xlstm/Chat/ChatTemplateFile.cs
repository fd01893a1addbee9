using Xlstm.Checkpoints;
using Xlstm.Tokenization;

namespace Xlstm.Chat;

/// <summary>Finds a checkpoint's chat template.</summary>
internal static class ChatTemplateFile
{
    /// <summary>The template of tokenizer_config.json; null if there is none.</summary>
    /// <exception cref="CheckpointException">The file is damaged, or the template is not supported.</exception>
    public static ChatTemplate? Read(string folder)
    {
        string path = Path.Combine(folder, "tokenizer_config.json");
        if (!File.Exists(path))
        {
            return null;
        }

        (string? source, string? begin, string? end) = LocatedJson.ReadFile(path, root => (Source(root), Token(root, "bos_token"), Token(root, "eos_token")));
        if (source is null)
        {
            return null;
        }

        try
        {
            return new JinjaChatTemplate(source, begin ?? "", end ?? "");
        }
        catch (XlstmException e)
        {
            throw new CheckpointException($"{path}: chat_template: {e.Message}", e);
        }
    }

    private static string? Source(LocatedJson root)
    {
        if (root.Optional("chat_template") is not { } value)
        {
            return null;
        }

        if (value.IsString)
        {
            return value.AsString();
        }

        // Several templates with names: the default one.
        foreach (LocatedJson item in value.Items())
        {
            if (item.Required("name").AsString() == "default")
            {
                return item.Required("template").AsString();
            }
        }

        return null;
    }

    private static string? Token(LocatedJson root, string key) =>
        root.Optional(key) is not { } value ? null : value.IsString ? value.AsString() : value.Optional("content")?.AsString();
}
