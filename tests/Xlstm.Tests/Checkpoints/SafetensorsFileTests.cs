using Xlstm.Checkpoints;
using Xunit;
using static Xlstm.Tests.Checkpoints.SafetensorsBuilder;

namespace Xlstm.Tests.Checkpoints;

public class SafetensorsFileTests
{
    [Fact]
    public void ReadsTensorsMetadataAndRanges()
    {
        using var folder = new TemporaryFolder();
        string header = "{\"__metadata__\":{\"format\":\"pt\"}," + Entry("b", "I32", "2,1", 4, 12) + "," + Entry("a", "BF16", "2", 0, 4) + "," + Entry("scalar", "F64", "", 12, 20) + "," + Entry("none", "F32", "0,7", 4, 4) + "}   ";
        using var file = SafetensorsFile.Open(folder.Write("x.safetensors", Safetensors(header, 20)));
        Assert.Equal("pt", file.Metadata["format"]);
        Assert.Equal(["a", "b", "none", "scalar"], file.Tensors.Keys.Order());
        Assert.Equal([2, 1], file.Tensors["b"].Shape);
        byte[] middle = new byte[3];
        file.Read(file.Tensors["b"], 2, middle);
        Assert.Equal([6, 7, 8], middle);
        Assert.Throws<ArgumentOutOfRangeException>(() => file.Read(file.Tensors["b"], 6, middle));
    }

    [Fact]
    public void ReadsAnEmptySetOfTensors()
    {
        using var folder = new TemporaryFolder();
        using var file = SafetensorsFile.Open(folder.Write("x.safetensors", Safetensors("{}")));
        Assert.Empty(file.Tensors);
    }

    /// <summary>Each broken header, and a word that its one-line message must have besides the file's name.</summary>
    public static TheoryData<string, int, string> BrokenHeaders => new()
    {
        { "", 0, "not valid JSON" },
        { "[]", 0, "not a JSON object" },
        { "{\"a\":", 0, "not valid JSON" },
        { "{}x", 0, "not valid JSON" },
        { "{} {}", 0, "not valid JSON" },
        { "{\"a\":1}", 0, "'a' is not described" },
        { "{\"a\":{}}", 0, "'a' has no dtype" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "'a' has no data_offsets" },
        { "{\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype that is not a string" },
        { "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "two dtype" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}", 4, "shape that is not an array" },
        { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, "3 data_offsets" },
        { "{" + Entry("a", "F33", "1", 0, 4) + "}", 4, "unknown dtype 'F33'" },
        { "{" + Entry("a", "F32", "-1", 0, 4) + "}", 4, "whole number" },
        { "{" + Entry("a", "F32", "1.5", 0, 4) + "}", 4, "whole number" },
        { "{" + Entry("a", "F32", "9223372036854775808", 0, 4) + "}", 4, "whole number" },
        { "{" + Entry("a", "F32", "[1]", 0, 4) + "}", 4, "whole number" },
        { "{" + Entry("a", "F32", "9223372036854775807,9223372036854775807,9223372036854775807", 0, 4) + "}", 4, "no file can hold" },
        { "{" + Entry("a", "F32", "4611686018427387904,4", 0, 0) + "}", 0, "no file can hold" },
        { "{" + Entry("a", "F4", "3", 0, 2) + "}", 2, "no file can hold" },
        { "{" + Entry("a", "F32", "2", 0, 4) + "}", 4, "4 bytes, expected 8 for F32 [2]" },
        { "{" + Entry("a", "F32", "1", 4, 0) + "}", 4, "end before the start" },
        { "{" + Entry("a", "F32", "1", 0, 4) + "}", 3, "cut short" },
        { "{" + Entry("a", "F32", "1", 0, 4) + "}", 5, "1 bytes follow the last tensor" },
        { "{" + Entry("a", "F32", "1", 4, 8) + "}", 8, "hole" },
        { "{" + Entry("a", "F32", "2", 0, 8) + "," + Entry("b", "F32", "1", 4, 8) + "}", 8, "'b' starts at 4, inside" },
        { "{" + Entry("a", "F32", "1", 0, 4) + "," + Entry("b", "F32", "1", 0, 4) + "}", 4, "inside another" },
        { "{" + Entry("a", "F32", "1", 0, 4) + "," + Entry("a", "F32", "1", 4, 8) + "}", 8, "'a' is there twice" },
        { "{\"__metadata__\":[]}", 0, "__metadata__ is not" },
        { "{\"__metadata__\":{\"a\":1}}", 0, "'a' is not a string" },
        { "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "two __metadata__" },
        { "{\"\\ud800\":1}", 0, "not valid JSON" },
        { "{\"a\":{\"x\":" + new string('[', 5000), 0, "not valid JSON" },
        { "{\"a\":{\"x\":" + new string('[', 5000) + new string(']', 5000) + "}}", 0, "not valid JSON" },
    };

    /// <summary>Risk: a crash, an overflow or a silent misread where a damaged file needs one clear line.</summary>
    [Theory]
    [MemberData(nameof(BrokenHeaders))]
    public void BrokenHeaderIsOneClearLine(string header, int dataLength, string expected)
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("broken.safetensors", Safetensors(header, dataLength));
        AssertLine(path, expected);
    }

    [Fact]
    public void BrokenUtf8IsOneClearLine()
    {
        using var folder = new TemporaryFolder();
        AssertLine(folder.Write("broken.safetensors", Safetensors([(byte)'{', (byte)'"', 0xFF, (byte)'"', (byte)':', (byte)'1', (byte)'}'])), "not valid JSON");
    }

    /// <summary>Risk: allocating what the first eight bytes claim.</summary>
    [Theory]
    [InlineData(3UL, "cut short")]
    [InlineData(100_000_001UL, "cut short")]
    [InlineData(0x7FFF_FFFF_FFFF_FFFFUL, "cut short")]
    [InlineData(0xFFFF_FFFF_FFFF_FFFFUL, "cut short")]
    public void ClaimedLengthIsChecked(ulong claimed, string expected)
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("broken.safetensors", Safetensors("{}", claimedLength: claimed));
        long before = GC.GetAllocatedBytesForCurrentThread();
        AssertLine(path, expected);
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1 << 20);
    }

    /// <summary>Risk: reading a header larger than the format allows because a sparse file really is that long.</summary>
    [Fact]
    public void HeaderAboveTheFormatsLimitIsRefused()
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("broken.safetensors", Safetensors("{}", claimedLength: 100_000_001));
        using (FileStream stream = File.OpenWrite(path))
        {
            stream.SetLength(100_000_100);
        }

        AssertLine(path, "the format allows 100000000");
    }

    [Theory]
    [InlineData(0, "empty")]
    [InlineData(7, "too short")]
    public void TinyFileIsOneClearLine(int length, string expected)
    {
        using var folder = new TemporaryFolder();
        AssertLine(folder.Write("broken.safetensors", new byte[length]), expected);
    }

    [Fact]
    public void MissingFileFolderAndBrokenLinkAreTold()
    {
        using var folder = new TemporaryFolder();
        AssertLine(folder.File("none.safetensors"), "no such file");
        Directory.CreateDirectory(folder.File("folder.safetensors"));
        AssertLine(folder.File("folder.safetensors"), "is a folder");
        if (!OperatingSystem.IsWindows())
        {
            File.CreateSymbolicLink(folder.File("link.safetensors"), "blobs/abc");
            AssertLine(folder.File("link.safetensors"), "links to 'blobs/abc', where there is no file");
        }
    }

    /// <summary>Risk: waiting for ever on a pipe, or reading a device without end.</summary>
    [Fact]
    public void DeviceIsRefused()
    {
        if (!File.Exists("/dev/zero"))
        {
            Assert.Skip("There is no /dev/zero here.");
        }

        AssertLine("/dev/zero", "empty");
    }

    /// <summary>The usual reason why a freshly cloned checkpoint does not load.</summary>
    [Fact]
    public void GitLfsPointerIsTold()
    {
        using var folder = new TemporaryFolder();
        AssertLine(folder.Write("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"), "git lfs pull");
    }

    /// <summary>Risk: a name with line breaks or terminal escapes that forges messages.</summary>
    [Fact]
    public void HostileNamesAreEscapedAndCut()
    {
        using var folder = new TemporaryFolder();
        string name = "x\\n\\u001b[31m\\u202e" + new string('y', 10_000);
        string path = folder.Write("broken.safetensors", Safetensors("{" + Entry(name, "F32", "2", 0, 4) + "}", 4));
        string message = AssertLine(path, "'x\\u000a\\u001b[31m\\u202ey");
        Assert.True(message.Length < path.Length + 400, message);
    }

    /// <summary>Risk: garbage instead of an error when a file shrinks between opening and reading.</summary>
    [Fact]
    public void FileThatShrinksIsTold()
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("x.safetensors", Safetensors("{" + Entry("a", "U8", "100", 0, 100) + "}", 100));
        using var file = SafetensorsFile.Open(path);
        if (OperatingSystem.IsWindows())
        {
            return; // The open handle keeps others from writing there.
        }

        using (var stream = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            stream.SetLength(stream.Length - 1);
        }

        var e = Assert.Throws<CheckpointException>(() => file.Read(file.Tensors["a"], 0, new byte[100]));
        Assert.Contains("'a' ends early", e.Message, StringComparison.Ordinal);
        Assert.Contains(path, e.Message, StringComparison.Ordinal);
    }

    private static string AssertLine(string path, string expected)
    {
        var e = Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(path).Dispose());
        Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
        Assert.Contains(expected, e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(e.Message, char.IsControl);
        return e.Message;
    }
}
