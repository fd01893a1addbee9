using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using CsCheck;
using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests.Tokenization;

public class TokenizerReaderTests
{
    /// <summary>Risk: a tokenizer of another kind is read wrongly instead of refused, or the person is not told what is wrong.</summary>
    [Theory]
    [InlineData("\"type\":\"BPE\"", "\"type\":\"Unigram\"", "model.type: expected BPE, found \"Unigram\", which is not supported")]
    [InlineData("\"type\":\"BPE\"", "\"type\":\"WordPiece\"", "model.type: expected BPE, found \"WordPiece\", which is not supported")]
    [InlineData("\"type\":\"BPE\"", "\"type\":7", "model.type: expected a string, found 7")]
    [InlineData("\"model\":", "\"modle\":", "expected \"model\", found none")]
    [InlineData("{\"type\":\"NFC\"}", "{\"type\":\"NFKC\"}", "normalizer.type: expected NFC, found \"NFKC\", which is not supported")]
    [InlineData("{\"type\":\"NFC\"}", "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Lowercase\"}]}", "normalizer.normalizers[1].type: expected NFC, found \"Lowercase\"")]
    [InlineData("{\"type\":\"NFC\"}", "\"NFC\"", "normalizer: expected an object, found \"NFC\"")]
    [InlineData("\"pre_tokenizer\":{\"type\":\"ByteLevel\"", "\"pre_tokenizer\":{\"type\":\"Metaspace\"", "pre_tokenizer.type: expected ByteLevel, found \"Metaspace\"")]
    [InlineData("\"pre_tokenizer\":", "\"pre_tokenizer\":null,\"x\":", "expected \"pre_tokenizer\", found none")]
    [InlineData("\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"WordPiece\"", "decoder.type: expected ByteLevel, found \"WordPiece\"")]
    [InlineData("\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[]", "decoder.decoders: expected one step of type ByteLevel, found 0")]
    [InlineData("\"dropout\":null", "\"dropout\":0.1", "model.dropout: expected null or 0")]
    [InlineData("\"continuing_subword_prefix\":null", "\"continuing_subword_prefix\":\"##\"", "model.continuing_subword_prefix: expected null or nothing, found \"##\"")]
    [InlineData("\"end_of_word_suffix\":null", "\"end_of_word_suffix\":\"</w>\"", "model.end_of_word_suffix: expected null or nothing, found \"</w>\"")]
    [InlineData("\"unk_token\":null", "\"unk_token\":\"a\"", "model.unk_token: expected null or a token for each byte, found \"a\" and 251 bytes without a token")]
    [InlineData("\"byte_fallback\":false", "\"byte_fallback\":true", "model.byte_fallback: expected false or a token for each byte")]
    [InlineData("\"ignore_merges\":false", "\"ignore_merges\":\"no\"", "model.ignore_merges: expected true or false, found \"no\"")]
    [InlineData("\"bc\":6", "\"bc\":5", "model.vocab: expected an id for each token, found 5 for \"ab\" and \"bc\"")]
    [InlineData("\"bc\":6", "\"bc\":-6", "model.vocab.bc: expected an integer from 0 to 1048575, found -6")]
    [InlineData("\"bc\":6", "\"bc\":2147483647", "model.vocab.bc: expected an integer from 0 to 1048575, found 2147483647")]
    [InlineData("\"bc\":6", "\"bc\":6.5", "model.vocab.bc: expected an integer")]
    [InlineData("\"bc\":6", "\"b\\nc\":\"x\\ny\"", "model.vocab.b?c: expected an integer from 0 to 1048575, found \"x?y\"")]
    [InlineData("\"bc\":6", "\"ab\":6", "not valid JSON")]
    [InlineData("\"bc\":6", "\"\\ud800\":6", "")]
    [InlineData("[\"b\",\"c\"]", "[\"b\",\"d\"]", "model.merges[1]: expected tokens of the vocabulary, found \"d\"")]
    [InlineData("[\"b\",\"c\"]", "[\"c\",\"b\"]", "model.merges[1]: expected tokens of the vocabulary, found \"cb\"")]
    [InlineData("[\"b\",\"c\"]", "[\"b\",\"c\",\"a\"]", "model.merges[1]: expected two tokens, found 3")]
    [InlineData("[\"b\",\"c\"]", "\"b c\"", "model.merges[1]: expected an array, found \"b c\"")]
    [InlineData("[\"a\",\"b\"]", "\"a b c\"", "model.merges[0]: expected two tokens with a space between, found \"a b c\"")]
    [InlineData("\"merges\":", "\"merges\":{},\"x\":", "model.merges: expected an array, found an object")]
    [InlineData("\"id\":9", "\"id\":12", "added_tokens[1].id: expected 9, the id that vocabulary and order give \"  \", found 12")]
    [InlineData("\"id\":0", "\"id\":1", "added_tokens[0].id: expected 0")]
    [InlineData("\"Ċ\":8", "\"Ċ\":9", "added_tokens: expected ids that the vocabulary leaves free, found 9 for \"  \"")]
    [InlineData("\"content\":\"<ü>\"", "\"content\":\"  \"", "added_tokens[2].content: expected each token once, found \"  \" again")]
    [InlineData("\"content\":\"<ü>\"", "\"content\":\"\"", "added_tokens[2].content: expected 1 to 1024 bytes, found 0")]
    [InlineData("\"content\":\"<ü>\",\"single_word\":false", "\"content\":\"<ü>\",\"single_word\":true", "added_tokens[2].single_word: expected false, found true, which is not supported")]
    [InlineData("\"content\":\"  \",\"single_word\":false,\"lstrip\":false", "\"content\":\"  \",\"single_word\":false,\"lstrip\":true", "added_tokens[1].lstrip: expected false, found true")]
    [InlineData("\"normalized\":true,", "", "added_tokens[1]: expected \"normalized\", found none")]
    [InlineData("{\"version\"", "[{\"version\"", "not valid JSON")]
    public void RefusedInOneLine(string replaced, string by, string message)
    {
        Assert.Contains(replaced, TokenizerFiles.Small, StringComparison.Ordinal);
        int at = TokenizerFiles.Small.IndexOf(replaced, StringComparison.Ordinal);
        AssertRefused(TokenizerFiles.Small[..at] + by + TokenizerFiles.Small[(at + replaced.Length)..], message);
    }

    /// <summary>Risk: the same for files that are no tokenizer at all.</summary>
    [Theory]
    [InlineData("", "not valid JSON")]
    [InlineData("7", "expected a JSON object, found 7")]
    [InlineData("{}", "expected \"model\", found none")]
    [InlineData("{\"model\":{\"vocab\":{}}}", "model.vocab: expected tokens, found none")]
    public void NoTokenizer(string json, string message) => AssertRefused(json, message);

    /// <summary>Risk: nesting that overflows the stack, which nothing can catch.</summary>
    [Fact]
    public void DeepNesting()
    {
        string nested = string.Concat(Enumerable.Repeat("{\"type\":\"Sequence\",\"normalizers\":[", 100_000));
        AssertRefused(TokenizerFiles.Small.Replace("{\"type\":\"NFC\"}", nested, StringComparison.Ordinal), "not valid JSON");
    }

    /// <summary>Risk: a file of tokens of megabytes makes a matcher of gigabytes.</summary>
    [Fact]
    public void AddedTokensWithoutEnd()
    {
        JsonNode root = JsonNode.Parse(TokenizerFiles.Small)!;
        JsonArray added = root["added_tokens"]!.AsArray();
        for (int id = 11; id < 2000; id++)
        {
            JsonNode token = added[2]!.DeepClone();
            token["id"] = id;
            token["content"] = id + new string('x', 1000);
            added.Add(token);
        }
        AssertRefused(root.ToJsonString(), "expected at most 1048576 bytes of added tokens, found more");
    }

    [Fact]
    public void MissingFileAndFolderInPlaceOfFile()
    {
        using var folder = new TemporaryFolder();
        Assert.Contains("expected a file, found none", Assert.Throws<CheckpointException>(() => Tokenizer.Load(folder.Path)).Message, StringComparison.Ordinal);
        Assert.Contains("expected a file, found none", Assert.Throws<CheckpointException>(() => Tokenizer.Load(Path.Combine(folder.Path, "none"))).Message, StringComparison.Ordinal);
        Assert.Contains("cannot be read", Assert.Throws<CheckpointException>(() => Tokenizer.LoadFile(folder.Path)).Message, StringComparison.Ordinal);
    }

    /// <summary>Risk: what older and newer files write differently, or what changes nothing, is refused.</summary>
    [Theory]
    [InlineData("\"type\":\"BPE\",", "")]
    [InlineData("\"use_regex\":true},\n\"post", "\"x\":true},\n\"post")]
    [InlineData("\"byte_fallback\":false,\"ignore_merges\":false,", "")]
    [InlineData("\"end_of_word_suffix\":null", "\"end_of_word_suffix\":\"\"")]
    [InlineData("\"dropout\":null", "\"dropout\":0.0")]
    [InlineData("{\"type\":\"NFC\"}", "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"}]}")]
    [InlineData("\"decoder\":{\"type\":\"ByteLevel\"}", "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteLevel\"}]}")]
    [InlineData("\"pre_tokenizer\":{\"type\":\"ByteLevel\"", "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\",\"add_prefix_space\":false}]")]
    public void WrittenOtherwise(string replaced, string by)
    {
        string small = TokenizerFiles.Small.Replace("\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}", "\"decoder\":{\"type\":\"ByteLevel\"}", StringComparison.Ordinal);
        Assert.Contains(replaced, small, StringComparison.Ordinal);
        Assert.Equal([7, 4, 6, 9], TokenizerFiles.Load(small.Replace(replaced, by, StringComparison.Ordinal)).Encode("abc bc  "));
    }

    /// <summary>Risk: bos and eos are taken from the wrong file, or only from one of the forms in which files give them.</summary>
    [Theory]
    [InlineData(null, null, 0)]
    [InlineData("{\"bos_token\":\"a\"}", "{\"bos_token\":\"b\"}", 1)]
    [InlineData("{\"bos_token\":{\"content\":\"<ü>\",\"lstrip\":false}}", null, 10)]
    [InlineData("{\"bos_token\":null}", "{\"bos_token\":\"b\"}", 2)]
    [InlineData("{}", "{\"bos_token\":{\"__type\":\"AddedToken\",\"content\":\"c\"}}", 3)]
    [InlineData("{}", "{}", 0)]
    public void BeginAndEndOfText(string? map, string? config, int expected)
    {
        using TemporaryFolder folder = WithSpecialTokens(map, config);
        Assert.Equal(expected, Tokenizer.Load(folder.Path).BeginOfText);
        using TemporaryFolder other = WithSpecialTokens(map?.Replace("bos", "eos", StringComparison.Ordinal), config?.Replace("bos", "eos", StringComparison.Ordinal));
        Assert.Equal(expected, Tokenizer.Load(other.Path).EndOfText);
    }

    [Theory]
    [InlineData("{\"bos_token\":\"<s>\"}", "special_tokens_map.json: bos_token: expected a token of tokenizer.json, found \"<s>\"")]
    [InlineData("{\"eos_token\":{}}", "special_tokens_map.json: eos_token: expected \"content\", found none")]
    [InlineData("{\"eos_token\":[1]}", "special_tokens_map.json: eos_token: expected an object, found an array")]
    [InlineData("oops", "special_tokens_map.json: not valid JSON")]
    public void DamagedSpecialTokens(string map, string message)
    {
        using TemporaryFolder folder = WithSpecialTokens(map, null);
        Assert.Contains(message, Assert.Throws<CheckpointException>(() => Tokenizer.Load(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void NoBeginOfTextAtAll()
    {
        Tokenizer tokenizer = TokenizerFiles.Load(TokenizerFiles.Small.Replace("<|endoftext|>", "<s>", StringComparison.Ordinal));
        Assert.Null(tokenizer.BeginOfText);
        Assert.Null(tokenizer.EndOfText);
    }

    /// <summary>Risk: a damaged file ends in an exception that nobody expects, or loads and fails later.</summary>
    [Fact]
    public void RandomBytesChanged()
    {
        byte[] small = Encoding.UTF8.GetBytes(TokenizerFiles.Small);
        Gen<(int At, int Removed, byte[] Inserted)> change = Gen.Select(
            Gen.Int[0, small.Length - 1],
            Gen.Int[0, 4],
            Gen.OneOf(Gen.Byte, Gen.OneOf("\"\\{}[],:0123456789truefalsn \u00E9"u8.ToArray())).Array[0, 4]);
        change.Array[1, 3].Sample(changes =>
        {
            List<byte> bytes = [.. small];
            foreach (var (at, removed, inserted) in changes)
            {
                bytes.RemoveRange(Math.Min(at, bytes.Count), Math.Min(removed, Math.Max(0, bytes.Count - at)));
                bytes.InsertRange(Math.Min(at, bytes.Count), inserted);
            }
            LoadsOrRefuses([.. bytes]);
        }, iter: 3000, threads: 1);
    }

    /// <summary>Risk: as above, with JSON that is valid and says something else.</summary>
    [Fact]
    public void RandomValuesChanged()
    {
        string[] values =
        [
            "null", "true", "false", "-1", "0", "1", "3", "9", "1e400", "1048575", "99999999999999999999", "\"\"", "\"a\"", "\"a b\"", "\"\\u0000\"", "\"\\udc00\"",
            "[]", "{}", "[[]]", "[null]", "[[\"a\",\"b\"]]", "{\"type\":\"ByteLevel\"}", "{\"type\":\"NFC\"}", "{\"a\":0}", "\"<|endoftext|>\"",
        ];
        Gen.Select(Gen.Int[0, 200], Gen.OneOf(values)).Array[1, 3].Sample(changes =>
        {
            string json = TokenizerFiles.Small;
            foreach (var (index, value) in changes)
                json = ReplaceValue(json, index, value);
            LoadsOrRefuses(Encoding.UTF8.GetBytes(json));
        }, iter: 3000, threads: 1);
    }

    /// <summary>Replaces the value that begins at the token of that number, counted around.</summary>
    private static string ReplaceValue(string json, int number, string value)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(json);
        var spans = new List<(int Start, int End)>();
        var reader = new Utf8JsonReader(bytes);
        while (reader.Read())
        {
            if (reader.TokenType is JsonTokenType.EndArray or JsonTokenType.EndObject or JsonTokenType.PropertyName)
                continue;
            int start = (int)reader.TokenStartIndex;
            Utf8JsonReader ahead = reader;
            ahead.Skip();
            spans.Add((start, (int)ahead.BytesConsumed));
        }
        var (from, to) = spans[number % spans.Count];
        return Encoding.UTF8.GetString(bytes.AsSpan(0, from)) + value + Encoding.UTF8.GetString(bytes.AsSpan(to));
    }

    private static void LoadsOrRefuses(byte[] json)
    {
        using var folder = new TemporaryFolder();
        string file = Path.Combine(folder.Path, "tokenizer.json");
        File.WriteAllBytes(file, json);
        try
        {
            Tokenizer tokenizer = Tokenizer.LoadFile(file);
            tokenizer.Decode(tokenizer.Encode("abc  bc <|endoftext|>e\u0301<ü> '\n"));
        }
        catch (CheckpointException e)
        {
            Assert.StartsWith(file, e.Message, StringComparison.Ordinal);
            Assert.DoesNotContain('\n', e.Message);
        }
    }

    private static TemporaryFolder WithSpecialTokens(string? map, string? config)
    {
        var folder = new TemporaryFolder();
        folder.Write("tokenizer.json", TokenizerFiles.Small);
        if (map is not null)
            folder.Write("special_tokens_map.json", map);
        if (config is not null)
            folder.Write("tokenizer_config.json", config);
        return folder;
    }

    private static void AssertRefused(string json, string message)
    {
        using var folder = new TemporaryFolder();
        string file = folder.Write("tokenizer.json", json);
        string found = Assert.Throws<CheckpointException>(() => Tokenizer.LoadFile(file)).Message;
        Assert.StartsWith(file + ": ", found, StringComparison.Ordinal);
        Assert.Contains(message, found, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', found);
    }
}
