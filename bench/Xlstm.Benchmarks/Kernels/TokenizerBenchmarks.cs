using BenchmarkDotNet.Attributes;

namespace Xlstm.Benchmarks.Kernels;

/// <summary>The demo model's tokenizer on this repository's own documentation, a megabyte of it, on one thread.</summary>
public class TokenizerBenchmarks : IKernelBenchmark
{
    private const int TextBytes = 1 << 20;

    private Tokenizer? _tokenizer;
    private byte[] _text = [];

    /// <summary>Reads tokenizer and text.</summary>
    [GlobalSetup]
    public void SetUp()
    {
        string root = Root();
        _tokenizer = Tokenizer.Load(Path.Combine(root, "models", "demo"));
        string[] files = [.. Directory.GetFiles(Path.Combine(root, "docs"), "*.md").Order(StringComparer.Ordinal)];
        byte[] once = [.. files.SelectMany(File.ReadAllBytes)];
        _text = new byte[TextBytes];
        for (int i = 0; i < TextBytes; i++)
        {
            _text[i] = once[i % once.Length];
        }
    }

    /// <summary>Text to ids.</summary>
    [Benchmark]
    public int Encode() => _tokenizer!.EncodeUtf8(_text).Length;

    Work IKernelBenchmark.WorkOf(string method) => new(0, TextBytes);

    private static string Root()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Xlstm.slnx")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? throw new InvalidOperationException("the benchmarks run outside a clone");
    }
}
