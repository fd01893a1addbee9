using System.Text.Json;
using Xunit;

namespace Xlstm.Tests.Tokenization;

/// <summary>Where the tokenizers and expected ids are, and tokenizers small enough to write into a test.</summary>
internal static class TokenizerFiles
{
    private static readonly string Root = FindRoot();
    private static readonly Lazy<Tokenizer> LoadedDemo = new(() => Tokenizer.LoadFile(Path.Combine(Root, "models", "demo", "tokenizer.json")));

    /// <summary>
    /// A whole tokenizer.json: bytes a, b, c and space, "ab", "bc", "abc" of the merges (a b), (b c), (ab c), and three added
    /// tokens of which the middle one is matched after normalization.
    /// </summary>
    public const string Small = """
        {"version":"1.0","truncation":null,"padding":null,
        "added_tokens":[
        {"id":0,"content":"<|endoftext|>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
        {"id":9,"content":"  ","single_word":false,"lstrip":false,"rstrip":false,"normalized":true,"special":false},
        {"id":10,"content":"<ü>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":false}],
        "normalizer":{"type":"NFC"},
        "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},
        "post_processor":null,
        "decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true},
        "model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,
        "fuse_unk":false,"byte_fallback":false,"ignore_merges":false,
        "vocab":{"<|endoftext|>":0,"a":1,"b":2,"c":3,"Ġ":4,"ab":5,"bc":6,"abc":7,"Ċ":8},
        "merges":[["a","b"],["b","c"],["ab","c"]]}}
        """;

    /// <summary>The demo model's tokenizer, which is in the repository.</summary>
    public static Tokenizer Demo => LoadedDemo.Value;

    public static string Fixture(string name) => Path.Combine(Root, "tests", "Xlstm.Tests", "Fixtures", "tokenizer", name);

    /// <summary>A file beside the repository; without it the test is skipped.</summary>
    public static string Shared(params string[] path)
    {
        string file = Path.Combine([Root, "..", "shared", .. path]);
        Assert.SkipUnless(File.Exists(file), $"{Path.Combine(path)} is not beside the repository");
        return file;
    }

    public static Tokenizer Load(string tokenizerJson)
    {
        using var folder = new TemporaryFolder();
        return Tokenizer.LoadFile(folder.Write("tokenizer.json", tokenizerJson));
    }

    public static int[] Ids(JsonElement array) => [.. array.EnumerateArray().Select(id => id.GetInt32())];

    private static string FindRoot()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Xlstm.slnx")))
            folder = Path.GetDirectoryName(folder);
        return folder ?? throw new InvalidOperationException("The tests run outside of the repository.");
    }
}
