using System.Buffers.Binary;
using System.Text;

namespace Xlstm.Tests.Checkpoints;

/// <summary>Makes sound and broken safetensors bytes by hand, independent of the writer under test.</summary>
internal static class SafetensorsBuilder
{
    /// <summary>A file of this header and this many bytes of data; <paramref name="claimedLength"/> stands where the header's length should.</summary>
    public static byte[] Safetensors(string header, int dataLength = 0, ulong? claimedLength = null) => Safetensors(Encoding.UTF8.GetBytes(header), dataLength, claimedLength);

    public static byte[] Safetensors(ReadOnlySpan<byte> header, int dataLength = 0, ulong? claimedLength = null)
    {
        byte[] file = new byte[8 + header.Length + dataLength];
        BinaryPrimitives.WriteUInt64LittleEndian(file, claimedLength ?? (ulong)header.Length);
        header.CopyTo(file.AsSpan(8));
        for (int i = 0; i < dataLength; i++)
        {
            file[8 + header.Length + i] = (byte)i;
        }

        return file;
    }

    /// <summary>One entry of a header.</summary>
    public static string Entry(string name, string dtype, string shape, long begin, long end) =>
        $"\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":[{shape}],\"data_offsets\":[{begin},{end}]}}";
}
