using System.Text;
using Xlstm.Checkpoints;

namespace Xlstm.Tokenization;

/// <summary>
/// Reads tokenizer.json (the format of Hugging Face tokenizers), trusting nothing in it. Byte-level BPE is read; anything
/// else that would change token ids is refused by name rather than read wrongly.
/// </summary>
internal static class TokenizerReader
{
    /// <summary>Far above any vocabulary; ids index arrays, so that one absurd id must not cost gigabytes.</summary>
    private const int MaxId = (1 << 20) - 1;

    /// <summary>Bytes of one added token: bounds the cost of matching at one position of a text.</summary>
    private const int MaxAddedTokenLength = 1024;

    /// <summary>Bytes of all added tokens: each can cost a node of the matcher.</summary>
    private const int MaxAddedTokenBytes = 1 << 20;

    /// <exception cref="CheckpointException">The file is missing, damaged, contradictory or of a kind not supported.</exception>
    public static TokenizerDefinition Read(string file) => LocatedJson.ReadFile(file, Read);

    private static TokenizerDefinition Read(LocatedJson root)
    {
        LocatedJson model = root.Required("model");
        // Files of before 2021 have no type; then the merges tell BPE from the other kinds.
        if (model.Optional("type") is { } type && type.AsString() != "BPE")
            throw Unsupported(type, "BPE");
        Dictionary<string, int> vocabulary = ReadVocabulary(model.Required("vocab"));
        CheckModelOptions(model, vocabulary);

        FindByteLevel(root.Required("decoder"), "decoders");
        LocatedJson byteLevel = FindByteLevel(root.Required("pre_tokenizer"), "pretokenizers");
        return new TokenizerDefinition
        {
            Vocabulary = vocabulary,
            Merges = ReadMerges(model.Required("merges"), vocabulary),
            AddedTokens = root.Optional("added_tokens") is { } added ? ReadAddedTokens(added, vocabulary) : [],
            IgnoreMerges = model.Optional("ignore_merges")?.AsBoolean() ?? false,
            Normalizes = root.Optional("normalizer") is { } normalizer && Composes(normalizer),
            AddPrefixSpace = byteLevel.Required("add_prefix_space").AsBoolean(),
            UseRegex = byteLevel.Optional("use_regex")?.AsBoolean() ?? true,
        };
    }

    private static CheckpointException Unsupported(LocatedJson type, string supported) =>
        type.Error($"expected {supported}, found {LocatedJson.Quote(type.AsString())}, which is not supported");

    private static Dictionary<string, int> ReadVocabulary(LocatedJson vocab)
    {
        var vocabulary = new Dictionary<string, int>();
        var tokens = new Dictionary<int, string>();
        foreach (var (token, value) in vocab.Members())
        {
            int id = value.AsInteger(MaxId);
            if (!tokens.TryAdd(id, token))
                throw vocab.Error($"expected an id for each token, found {id} for {LocatedJson.Quote(tokens[id])} and {LocatedJson.Quote(token)}");
            vocabulary.Add(token, id);
        }
        return vocabulary.Count > 0 ? vocabulary : throw vocab.Error("expected tokens, found none");
    }

    private static void CheckModelOptions(LocatedJson model, Dictionary<string, int> vocabulary)
    {
        if (model.Optional("dropout") is { } dropout && dropout.AsNumber() != 0)
            throw dropout.Error("expected null or 0: dropout in merges, which is for training, is not supported");
        foreach (string name in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
        {
            if (model.Optional(name) is { } affix && affix.AsString().Length > 0)
                throw affix.Error($"expected null or nothing, found {LocatedJson.Quote(affix.AsString())}, which is not supported");
        }
        // Both say what becomes of bytes without a token, and so nothing where every byte has one.
        int without = Enumerable.Range(0, 256).Count(value => !vocabulary.ContainsKey(ByteAlphabet.CharacterOf((byte)value).ToString()));
        if (without > 0 && model.Optional("unk_token") is { } unknown)
            throw unknown.Error($"expected null or a token for each byte, found {LocatedJson.Quote(unknown.AsString())} and {without} bytes without a token");
        if (without > 0 && model.Optional("byte_fallback") is { } fallback && fallback.AsBoolean())
            throw fallback.Error($"expected false or a token for each byte, found true and {without} bytes without a token");
    }

    private static List<(int Left, int Right, int Merged)> ReadMerges(LocatedJson merges, Dictionary<string, int> vocabulary)
    {
        var read = new List<(int, int, int)>();
        bool? pairs = null;
        foreach (LocatedJson merge in merges.Items())
        {
            pairs ??= merge.IsArray;
            string left, right;
            if (pairs.Value)
            {
                string[] parts = [.. merge.Items().Select(part => part.AsString())];
                if (parts.Length != 2)
                    throw merge.Error($"expected two tokens, found {parts.Length}");
                (left, right) = (parts[0], parts[1]);
            }
            else
            {
                string line = merge.AsString();
                // The first line of the merges.txt that older files were made from.
                if (line.StartsWith("#version", StringComparison.Ordinal))
                    continue;
                int space = line.IndexOf(' ');
                if (space < 0 || line.IndexOf(' ', space + 1) >= 0)
                    throw merge.Error($"expected two tokens with a space between, found {LocatedJson.Quote(line)}");
                (left, right) = (line[..space], line[(space + 1)..]);
            }
            read.Add((IdOf(left), IdOf(right), IdOf(left + right)));

            int IdOf(string token) => vocabulary.TryGetValue(token, out int id)
                ? id
                : throw merge.Error($"expected tokens of the vocabulary, found {LocatedJson.Quote(token)}");
        }
        return read;
    }

    private static List<AddedToken> ReadAddedTokens(LocatedJson list, Dictionary<string, int> vocabulary)
    {
        var tokens = new List<AddedToken>();
        var contents = new HashSet<string>();
        int highest = -1;
        int allBytes = 0;
        foreach (LocatedJson item in list.Items())
        {
            LocatedJson idValue = item.Required("id");
            int id = idValue.AsInteger(MaxId);
            LocatedJson contentValue = item.Required("content");
            string content = contentValue.AsString();
            foreach (string flag in (string[])["single_word", "lstrip", "rstrip"])
            {
                LocatedJson value = item.Required(flag);
                if (value.AsBoolean())
                    throw value.Error("expected false, found true, which is not supported");
            }
            bool normalized = item.Required("normalized").AsBoolean();
            bool special = item.Required("special").AsBoolean();

            int length = Encoding.UTF8.GetByteCount(content);
            if (length is 0 or > MaxAddedTokenLength)
                throw contentValue.Error($"expected 1 to {MaxAddedTokenLength} bytes, found {length}");
            allBytes += length;
            if (allBytes > MaxAddedTokenBytes)
                throw contentValue.Error($"expected at most {MaxAddedTokenBytes} bytes of added tokens, found more");
            if (!contents.Add(content))
                throw contentValue.Error($"expected each token once, found {LocatedJson.Quote(content)} again");
            // Hugging Face tokenizers numbers the tokens by this rule whatever the file says: an id that differs is a damaged file.
            int expected = vocabulary.TryGetValue(content, out int known) ? known : Math.Max(vocabulary.Count, highest + 1);
            if (id != expected)
                throw idValue.Error($"expected {expected}, the id that vocabulary and order give {LocatedJson.Quote(content)}, found {id}");
            highest = Math.Max(highest, id);
            tokens.Add(new AddedToken(id, content, normalized, special));
        }
        HashSet<int> modelIds = [.. vocabulary.Values];
        return tokens.Find(token => modelIds.Contains(token.Id) && !vocabulary.ContainsKey(token.Content)) is { } taken
            ? throw list.Error($"expected ids that the vocabulary leaves free, found {taken.Id} for {LocatedJson.Quote(taken.Content)}")
            : tokens;
    }

    private static bool Composes(LocatedJson normalizer)
    {
        LocatedJson type = normalizer.Required("type");
        return type.AsString() switch
        {
            "NFC" => true,
            "Sequence" => normalizer.Required("normalizers").Items().Aggregate(false, (composes, part) => composes | Composes(part)),
            _ => throw Unsupported(type, "NFC"),
        };
    }

    /// <summary>The step of type ByteLevel: the value itself, or the only one of a sequence.</summary>
    private static LocatedJson FindByteLevel(LocatedJson step, string members)
    {
        LocatedJson type = step.Required("type");
        switch (type.AsString())
        {
            case "ByteLevel":
                return step;
            case "Sequence":
                LocatedJson steps = step.Required(members);
                LocatedJson[] found = [.. steps.Items().Select(member => FindByteLevel(member, members))];
                return found.Length == 1 ? found[0] : throw steps.Error($"expected one step of type ByteLevel, found {found.Length}");
            default:
                throw Unsupported(type, "ByteLevel");
        }
    }
}
