using System.Diagnostics;
using System.Text;
using CsCheck;
using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests.Checkpoints;

/// <summary>
/// Risk: bytes that nobody thought of end in another exception than <see cref="CheckpointException"/>, in an allocation that the file
/// does not justify, or in a hang.
/// </summary>
public class CheckpointFuzzTests
{
    private const int MaxAllocation = 8 << 20;

    /// <summary>Pieces that break parsers more often than random bytes do.</summary>
    private static readonly byte[][] Pieces = new[]
    {
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\ud800", "null", "true", "-1", "0", "1e999", "1.5", "9223372036854775807", "18446744073709551616",
        "2147483647", "4294967296", "\"F32\"", "\"__metadata__\":", "\"shape\":[", "\"data_offsets\":[0,0]", "[[[[[[[[[[[[[[[[[[[[[[[[[[", "../", "\"x.safetensors\"", "\0", "\n", "\uFEFF",
    }.Select(Encoding.UTF8.GetBytes).Append([0xFF]).Append([0xC0, 0x80]).ToArray();

    private static readonly Gen<(int Kind, double At, double Length, byte Value, int Piece)> Mutation =
        Gen.Select(Gen.Int[0, 4], Gen.Double[0, 1], Gen.Double[0, 1], Gen.Byte, Gen.Int[0, Pieces.Length - 1]);

    [Fact]
    public void SafetensorsHeaders()
    {
        byte[] file = File.ReadAllBytes(Path.Combine(Fixture.Reference("tiny-single"), "model-00001-of-00002.safetensors"));
        int headerLength = (int)BitConverter.ToInt64(file);
        byte[] header = file[8..(8 + headerLength)];
        byte[] small = Encoding.UTF8.GetBytes("{\"__metadata__\":{\"a\":\"b\"}," + SafetensorsBuilder.Entry("a", "F32", "2,3", 0, 24) + "," + SafetensorsBuilder.Entry("b", "BF16", "4", 24, 32) + "}");
        Fuzz(small, bytes => SafetensorsHeader.Parse("x", bytes, 8 + bytes.Length, 32), iterations: 4000);
        Fuzz(header, bytes => SafetensorsHeader.Parse("x", bytes, 8 + bytes.Length, file.Length - 8 - headerLength), iterations: 1000);
    }

    [Fact]
    public void SafetensorsFiles()
    {
        using var folder = new TemporaryFolder();
        byte[] file = SafetensorsBuilder.Safetensors("{" + SafetensorsBuilder.Entry("a", "F32", "2,3", 0, 24) + "," + SafetensorsBuilder.Entry("b", "BF16", "4", 24, 32) + "}", 32);
        Fuzz(file, bytes => SafetensorsFile.Open(folder.Write("x.safetensors", bytes)).Dispose(), iterations: 1000);
    }

    [Theory]
    [InlineData("config.json")]
    [InlineData("model.safetensors.index.json")]
    public void FilesOfACheckpoint(string name)
    {
        using var folder = TemporaryFolder.CopyOf("tiny-single");
        byte[] original = File.ReadAllBytes(folder.File(name));
        Fuzz(
            original,
            bytes =>
            {
                folder.Write(name, bytes);
                using var checkpoint = Checkpoint.Open(folder.Path);
            },
            iterations: 1000);
    }

    private static void Fuzz(byte[] original, Action<byte[]> read, int iterations)
    {
        read(original);
        Mutation.Array[1, 4].Sample(
            mutations =>
            {
                byte[] bytes = mutations.Aggregate(original, Apply);
                long allocated = GC.GetAllocatedBytesForCurrentThread();
                long started = Stopwatch.GetTimestamp();
                try
                {
                    read(bytes);
                }
                catch (CheckpointException e)
                {
                    Assert.DoesNotContain(e.Message, char.IsControl);
                    Assert.True(e.Message.Length < 2000, e.Message);
                }

                Assert.True(GC.GetAllocatedBytesForCurrentThread() - allocated < MaxAllocation);
                Assert.True(Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(20));
            },
            iter: iterations,
            threads: 1);
    }

    private static byte[] Apply(byte[] bytes, (int Kind, double At, double Length, byte Value, int Piece) mutation)
    {
        int at = (int)(mutation.At * bytes.Length);
        int end = Math.Min(bytes.Length, at + (int)(mutation.Length * mutation.Length * 40) + 1);
        return mutation.Kind switch
        {
            0 => at < bytes.Length ? [.. bytes[..at], mutation.Value, .. bytes[(at + 1)..]] : bytes,
            1 => [.. bytes[..at], .. bytes[end..]],
            2 => [.. bytes[..end], .. bytes[at..]],
            3 => [.. bytes[..at], .. Pieces[mutation.Piece], .. bytes[at..]],
            _ => ReplaceNumber(bytes, at, Pieces[mutation.Piece]),
        };
    }

    /// <summary>Replaces the first number at or after a place: mutations that stay valid JSON reach the checks behind the parser.</summary>
    private static byte[] ReplaceNumber(byte[] bytes, int at, byte[] piece)
    {
        int start = bytes.AsSpan(at).IndexOfAnyInRange((byte)'0', (byte)'9');
        if (start < 0)
        {
            return bytes[..at];
        }

        start += at;
        int length = bytes.AsSpan(start).IndexOfAnyExceptInRange((byte)'0', (byte)'9');
        return [.. bytes[..start], .. piece, .. bytes[(length < 0 ? bytes.Length : start + length)..]];
    }
}
