namespace Xlstm.Tokenization;

/// <summary>Which token begins and which ends a text: in files beside tokenizer.json, which itself does not say.</summary>
internal static class SpecialTokenFiles
{
    /// <summary>What the tokenizers of the xLSTM checkpoints use for both; taken where no file names another.</summary>
    private const string Usual = "<|endoftext|>";

    private static readonly string[] Files = ["special_tokens_map.json", "tokenizer_config.json"];

    /// <param name="folder">Folder of the files, or null where there is none.</param>
    /// <param name="role">"bos_token" or "eos_token".</param>
    /// <param name="idOf">Id of a token by its content, or null.</param>
    /// <returns>The token's id, or null if the files name none and the usual one is not in the vocabulary.</returns>
    /// <exception cref="Checkpoints.CheckpointException">A file is damaged or names a token that the tokenizer does not have.</exception>
    public static int? Find(string? folder, string role, Func<string, int?> idOf)
    {
        foreach (string name in Files)
        {
            if (folder is not null && Path.Combine(folder, name) is var file && File.Exists(file)
                && LocatedJson.ReadFile(file, root => ReadRole(root, role, idOf)) is int id)
                return id;
        }
        return idOf(Usual);
    }

    private static int? ReadRole(LocatedJson root, string role, Func<string, int?> idOf)
    {
        if (root.Optional(role) is not { } value)
            return null;
        // A string, or the token written out as an object.
        string content = value.IsString ? value.AsString() : value.Required("content").AsString();
        return idOf(content) ?? throw value.Error($"expected a token of tokenizer.json, found {LocatedJson.Quote(content)}");
    }
}
