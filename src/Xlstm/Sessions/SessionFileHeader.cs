using System.Buffers.Binary;
using System.IO.Hashing;

namespace Xlstm.Sessions;

/// <summary>The head of a session file: everything that the sizes of the rest follow from. docs/session-file.md has the bytes.</summary>
internal sealed record SessionFileHeader
{
    public const int Version = 1;

    /// <summary>Bytes of the header.</summary>
    public const int ByteLength = 120;

    /// <summary>Bytes of the checksum at the end of the file.</summary>
    public const int ChecksumBytes = 16;

    private const int MaxSize = 1 << 24;
    private const int ChecksumOffset = ByteLength - sizeof(ulong);

    private static ReadOnlySpan<byte> Magic => "xLSTMses"u8;

    /// <summary>SHA-256, 64 hexadecimal digits.</summary>
    public required string Fingerprint { get; init; }

    public required int NumBlocks { get; init; }

    public required int NumHeads { get; init; }

    public required int QkHeadDim { get; init; }

    public required int VHeadDim { get; init; }

    public required int VocabSize { get; init; }

    public required WeightFormat Weights { get; init; }

    public required StateFormat StateFormat { get; init; }

    public required int TokenCount { get; init; }

    /// <summary>Tokens that the state holds.</summary>
    public required int Position { get; init; }

    public required int RunCount { get; init; }

    /// <summary>Bytes of the note in UTF-8.</summary>
    public required int NoteBytes { get; init; }

    /// <summary>Elements of C of one block.</summary>
    public long MatrixCount => (long)NumHeads * QkHeadDim * VHeadDim;

    /// <summary>Elements of n and m of one block.</summary>
    public long VectorCount => (long)NumHeads * (QkHeadDim + 1);

    /// <summary>Bytes of one block's state.</summary>
    public long BlockBytes => (MatrixCount * StateFormat.MatrixElementSize()) + (VectorCount * sizeof(float));

    /// <summary>Bytes of the whole file.</summary>
    public long FileBytes
    {
        get
        {
            long lists = (sizeof(int) * (long)TokenCount) + (2L * sizeof(int) * RunCount);
            long state = Position == 0 ? 0 : (sizeof(float) * (long)VocabSize) + (NumBlocks * BlockBytes);
            return ByteLength + lists + NoteBytes + state + ChecksumBytes;
        }
    }

    public static SessionFileHeader For(XlstmModel model, StateFormat format, int tokenCount, int position, int runCount, int noteBytes) => new()
    {
        Fingerprint = model.Fingerprint,
        NumBlocks = model.Config.NumBlocks,
        NumHeads = model.Config.NumHeads,
        QkHeadDim = model.Config.QkHeadDim,
        VHeadDim = model.Config.VHeadDim,
        VocabSize = model.Config.VocabSize,
        Weights = model.Weights,
        StateFormat = format,
        TokenCount = tokenCount,
        Position = position,
        RunCount = runCount,
        NoteBytes = noteBytes,
    };

    public byte[] ToBytes()
    {
        var bytes = new byte[ByteLength];
        Magic.CopyTo(bytes);
        Convert.FromHexString(Fingerprint).CopyTo(bytes, 16);
        Span<int> numbers = [Version, ByteLength];
        Span<int> sizes = [NumBlocks, NumHeads, QkHeadDim, VHeadDim, VocabSize];
        WriteAll(bytes.AsSpan(8), numbers);
        WriteAll(bytes.AsSpan(48), sizes);
        bytes[68] = (byte)Weights;
        bytes[69] = (byte)StateFormat;
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(72), TokenCount);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(80), Position);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(88), RunCount);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(96), NoteBytes);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(104), FileBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(ChecksumOffset), XxHash3.HashToUInt64(bytes.AsSpan(0, ChecksumOffset)));
        return bytes;
    }

    /// <summary>Reads and checks a header.</summary>
    /// <param name="path">For messages.</param>
    /// <param name="bytes">The file's first bytes, at most <see cref="ByteLength"/>.</param>
    /// <param name="fileBytes">The file's length.</param>
    /// <exception cref="XlstmException">Not a session file, of a newer version, damaged or cut off.</exception>
    public static SessionFileHeader Parse(string path, ReadOnlySpan<byte> bytes, long fileBytes)
    {
        if (!bytes.StartsWith(Magic))
        {
            throw new XlstmException($"{path}: is not a session file");
        }

        if (bytes.Length >= 12 && BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]) is var version and not Version)
        {
            throw new XlstmException(version > Version
                ? $"{path}: was saved by a newer version of this program: format {version}, expected at most {Version}"
                : $"{path}: is damaged: format version {version}");
        }

        if (bytes.Length < ByteLength)
        {
            throw new XlstmException($"{path}: is cut off: has {fileBytes} bytes, expected at least {ByteLength}");
        }

        if (XxHash3.HashToUInt64(bytes[..ChecksumOffset]) != BinaryPrimitives.ReadUInt64LittleEndian(bytes[ChecksumOffset..]))
        {
            throw new XlstmException($"{path}: is damaged: the header's checksum does not match");
        }

        // A checksum protects from accidents, not from malice: every number is still checked before it is used.
        var header = new SessionFileHeader
        {
            Fingerprint = Convert.ToHexStringLower(bytes.Slice(16, 32)),
            NumBlocks = Size(path, bytes, 48),
            NumHeads = Size(path, bytes, 52),
            QkHeadDim = Size(path, bytes, 56),
            VHeadDim = Size(path, bytes, 60),
            VocabSize = Size(path, bytes, 64),
            Weights = (WeightFormat)bytes[68],
            StateFormat = (StateFormat)bytes[69],
            TokenCount = Count(path, bytes, 72, fileBytes),
            Position = Count(path, bytes, 80, fileBytes),
            RunCount = Count(path, bytes, 88, fileBytes),
            NoteBytes = Count(path, bytes, 96, fileBytes),
        };

        // In floating point: the products in FileBytes are safe only after this.
        double elements = header.Position == 0 ? 0 : (double)header.NumBlocks * header.NumHeads * header.QkHeadDim * header.VHeadDim;
        if (!Enum.IsDefined(header.Weights) || !Enum.IsDefined(header.StateFormat) || header.Position > header.TokenCount || elements * sizeof(ushort) > fileBytes)
        {
            throw Damaged(path);
        }

        if (header.FileBytes != fileBytes)
        {
            throw new XlstmException(fileBytes < header.FileBytes
                ? $"{path}: is cut off: has {fileBytes} bytes, expected {header.FileBytes}"
                : $"{path}: is damaged: has {fileBytes} bytes, expected {header.FileBytes}");
        }

        return header;
    }

    public static XlstmException Damaged(string path) => new($"{path}: is damaged: its numbers contradict each other");

    private static int Size(string path, ReadOnlySpan<byte> bytes, int offset)
    {
        int value = BinaryPrimitives.ReadInt32LittleEndian(bytes[offset..]);
        return value is >= 1 and <= MaxSize ? value : throw Damaged(path);
    }

    /// <summary>A number of things that the file holds.</summary>
    private static int Count(string path, ReadOnlySpan<byte> bytes, int offset, long fileBytes)
    {
        long value = BinaryPrimitives.ReadInt64LittleEndian(bytes[offset..]);
        return value >= 0 && value <= Math.Min(fileBytes, Array.MaxLength) ? (int)value : throw Damaged(path);
    }

    private static void WriteAll(Span<byte> destination, ReadOnlySpan<int> values)
    {
        foreach (int value in values)
        {
            BinaryPrimitives.WriteInt32LittleEndian(destination, value);
            destination = destination[sizeof(int)..];
        }
    }
}
