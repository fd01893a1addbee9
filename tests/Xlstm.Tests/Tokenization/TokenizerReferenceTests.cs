using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Xunit;

namespace Xlstm.Tests.Tokenization;

/// <summary>Ids equal those of Hugging Face tokenizers; docs/tokenizer.md says how the fixtures were made.</summary>
public class TokenizerReferenceTests
{
    /// <summary>Risk: any step of the pipeline differs on text that is made to be hard.</summary>
    [Fact]
    public void FuzzedTexts()
    {
        int count = 0;
        foreach (string line in File.ReadLines(TokenizerFiles.Fixture("demo-fuzz.jsonl")))
        {
            using var pair = JsonDocument.Parse(line);
            string text = pair.RootElement[0].GetString()!;
            int[] expected = TokenizerFiles.Ids(pair.RootElement[1]);
            Assert.True(TokenizerFiles.Demo.Encode(text).AsSpan().SequenceEqual(expected), line);
            Assert.Equal(expected, TokenizerFiles.Demo.EncodeUtf8(Encoding.UTF8.GetBytes(text)));
            count++;
        }
        Assert.Equal(4000, count);
    }

    /// <summary>
    /// Risk: a character is of the wrong class or composes by a Unicode version other than 9; a newer runtime brings newer
    /// classes.
    /// </summary>
    [Fact]
    public void EveryCharacterBetweenLettersNumbersSpacesAndMarks()
    {
        Tokenizer tokenizer = TokenizerFiles.Demo;
        string[] wrong = [.. File.ReadLines(TokenizerFiles.Fixture("demo-every-character.txt")).AsParallel().Where(line =>
        {
            string[] fields = line.Split(' ');
            int first = int.Parse(fields[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            for (int c = first; c < first + 0x1000; c++)
            {
                var h = Rune.IsValid(c) ? new Rune(c) : Rune.ReplacementChar;
                string text = $"x{h}1!{h}!  {h} e\u0301{h}\u0316\u0323{h}{h}\u0301{h}\u1161\u11A8";
                hash.AppendData(MemoryMarshal.AsBytes<int>(tokenizer.Encode(text)));
            }
            return !Convert.ToHexStringLower(hash.GetHashAndReset()).Equals(fields[1], StringComparison.Ordinal);
        })];
        Assert.Empty(wrong);
    }

    /// <summary>Risk: what the other tokenizer exercises: merges as strings, long runs of spaces, a large vocabulary.</summary>
    [Theory]
    [InlineData("demo")]
    [InlineData("gpt-neox-20b")]
    public void HardStrings(string name)
    {
        using var encodings = JsonDocument.Parse(File.ReadAllText(TokenizerFiles.Shared("tokenizer", "encodings.json")));
        Tokenizer tokenizer = Load(name);
        foreach (JsonElement entry in encodings.RootElement.GetProperty(name).GetProperty("strings").EnumerateArray())
        {
            int[] ids = TokenizerFiles.Ids(entry.GetProperty("ids"));
            Assert.Equal(ids, tokenizer.Encode(entry.GetProperty("text").GetString()!));
            Assert.Equal(entry.GetProperty("decoded").GetString(), tokenizer.Decode(ids));
        }
    }

    /// <summary>Risk: long texts: buffers that grow, positions that drift.</summary>
    [Theory]
    [InlineData("demo")]
    [InlineData("gpt-neox-20b")]
    public void WholeBooks(string name)
    {
        using var encodings = JsonDocument.Parse(File.ReadAllText(TokenizerFiles.Shared("tokenizer", "encodings.json")));
        Dictionary<string, string> books = ReadBooks(TokenizerFiles.Shared("demo-model", "holdout.jsonl.xz"));
        Tokenizer tokenizer = Load(name);
        foreach (JsonElement entry in encodings.RootElement.GetProperty(name).GetProperty("documents").EnumerateArray())
        {
            string book = books[entry.GetProperty("title").GetString()!];
            int[] ids = tokenizer.Encode(book);
            Assert.Equal(entry.GetProperty("tokens").GetInt32(), ids.Length);
            byte[] hash = SHA256.HashData(MemoryMarshal.AsBytes<int>(ids));
            Assert.Equal(entry.GetProperty("sha256_of_int32_le").GetString(), Convert.ToHexStringLower(hash));
            Assert.Equal(book, tokenizer.Decode(ids));
        }
    }

    private static Tokenizer Load(string name) =>
        name == "demo" ? TokenizerFiles.Demo : Tokenizer.LoadFile(TokenizerFiles.Shared("tokenizer", name + ".tokenizer.json"));

    /// <summary>Titles and texts. .NET reads no xz; the command of that name does, where there is one.</summary>
    private static Dictionary<string, string> ReadBooks(string file)
    {
        try
        {
            using var xz = Process.Start(new ProcessStartInfo("xz", ["--decompress", "--stdout", file])
            {
                RedirectStandardOutput = true,
                StandardOutputEncoding = Encoding.UTF8,
            })!;
            var books = new Dictionary<string, string>();
            while (xz.StandardOutput.ReadLine() is { } line)
            {
                using var book = JsonDocument.Parse(line);
                books.Add(book.RootElement.GetProperty("title").GetString()!, book.RootElement.GetProperty("text").GetString()!);
            }
            xz.WaitForExit();
            return books;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip("there is no xz to unpack the books with");
            throw;
        }
    }
}
