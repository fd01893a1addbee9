using System.Runtime.InteropServices;
using CsCheck;
using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests.Checkpoints;

public class SafetensorsWriterTests
{
    [Fact]
    public void WhatIsWrittenIsReadBack()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("x.safetensors");
        SafetensorsTensorSpec[] specs =
        [
            new("logits \"é\n", ElementType.Float32, [2, 3]),
            new("empty", ElementType.Float32, [0, 3]),
            new("half", ElementType.Float16, [3]),
            new("scalar", ElementType.BFloat16, []),
        ];
        using (var writer = SafetensorsWriter.Create(path, specs, new Dictionary<string, string> { ["source"] = "test" }))
        {
            // Rows need not end where a call does, nor tensors.
            writer.Write([1f, 2f]);
            writer.Write([3f, 4f, 5f, 6f, 0.5f]);
            writer.Write(MemoryMarshal.AsBytes<Half>([(Half)7, (Half)8]));
            writer.Write([-1.5f]);
            Assert.False(File.Exists(path));
            writer.Complete();
        }

        using var file = SafetensorsFile.Open(path);
        Assert.Equal("test", file.Metadata["source"]);
        Assert.Equal(specs.Select(s => (s.Name, s.Dtype)).Order(), file.Tensors.Values.Select(t => (t.Name, t.Dtype)).Order());
        Assert.Equal([1f, 2f, 3f, 4f, 5f, 6f], MemoryMarshal.Cast<byte, float>(Read(file, specs[0].Name)).ToArray());
        Assert.Equal([(Half)0.5, (Half)7, (Half)8], MemoryMarshal.Cast<byte, Half>(Read(file, "half")).ToArray());
        Assert.Equal([0xC0, 0xBF], Read(file, "scalar").AsEnumerable());
        Assert.Equal(0, file.Tensors[specs[0].Name].Offset % 8);
        Assert.Equal([path], Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void GivingUpLeavesNothingAndKeepsWhatWasThere()
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("x.safetensors", "old");
        using (var writer = SafetensorsWriter.Create(path, [new("a", ElementType.Float32, [2])]))
        {
            writer.Write([1f]);
            Assert.Throws<InvalidOperationException>(writer.Complete);
        }

        Assert.Equal([path], Directory.GetFileSystemEntries(folder.Path));
        Assert.Equal("old", File.ReadAllText(path));
    }

    [Fact]
    public void MoreThanTheTensorsHoldIsRefused()
    {
        using var folder = new TemporaryFolder();
        using var writer = SafetensorsWriter.Create(folder.File("x.safetensors"), [new("a", ElementType.BFloat16, [2])]);
        Assert.Throws<ArgumentException>(() => writer.Write([1f, 2f, 3f]));
        Assert.Throws<ArgumentException>(() => writer.Write(new byte[1]));
    }

    [Fact]
    public void WrongSpecsAreRefusedBeforeAnythingIsWritten()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("x.safetensors");
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Create(path, [new("a", ElementType.Float32, [1]), new("a", ElementType.Float32, [1])]));
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Create(path, [new("__metadata__", ElementType.Float32, [1])]));
        Assert.Throws<ArgumentOutOfRangeException>(() => SafetensorsWriter.Create(path, [new("a", ElementType.Float32, [-1])]));
        Assert.Throws<OverflowException>(() => SafetensorsWriter.Create(path, [new("a", ElementType.Float32, [long.MaxValue, 2])]));
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void UnwritablePlaceIsOneClearLine()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("none/x.safetensors");
        var e = Assert.Throws<XlstmException>(() => SafetensorsWriter.Create(path, [new("a", ElementType.Float32, [1])]));
        Assert.StartsWith(path + ": cannot be written", e.Message, StringComparison.Ordinal);
    }

    /// <summary>Risk: bfloat16 cut off instead of rounded to nearest even, NaN turned into infinity.</summary>
    [Fact]
    public void BFloat16IsRoundedToNearestEven()
    {
        Gen.UInt.Sample(
            bits =>
            {
                float value = BitConverter.UInt32BitsToSingle(bits);
                Span<byte> stored = stackalloc byte[2];
                ElementConversion.FromFloat32([value], ElementType.BFloat16, stored);
                float rounded = BitConverter.UInt32BitsToSingle((uint)MemoryMarshal.Read<ushort>(stored) << 16);
                return float.IsNaN(value) ? float.IsNaN(rounded) : rounded == Nearest(value);
            },
            iter: 20_000);

        // Written another way than the code under test: the nearer of the two neighbours, in double.
        static double Nearest(float value)
        {
            uint bits = BitConverter.SingleToUInt32Bits(value) & 0xFFFF0000;
            double below = BitConverter.UInt32BitsToSingle(bits), above = BitConverter.UInt32BitsToSingle(bits + 0x10000);
            if (float.IsInfinity(value))
            {
                return value;
            }

            double step = double.IsFinite(above) ? Math.Abs(above - below) : Math.Pow(2, 120);
            double excess = Math.Abs(value - below);
            return excess < step / 2 || (excess == step / 2 && (bits & 0x10000) == 0) ? below : above;
        }
    }

    private static byte[] Read(SafetensorsFile file, string name)
    {
        byte[] bytes = new byte[file.Tensors[name].ByteLength];
        file.Read(file.Tensors[name], 0, bytes);
        return bytes;
    }
}
