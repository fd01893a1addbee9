using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Xlstm.Checkpoints;

namespace Xlstm.Sessions;

/// <summary>What a session file holds.</summary>
/// <param name="Header">Its header.</param>
/// <param name="Tokens">Token ids, waiting ones included.</param>
/// <param name="Segments">Covers the tokens that the state holds.</param>
/// <param name="Mark">The state, its hold the caller's; null if no token had been fed.</param>
internal sealed record SessionFileContent(SessionFileHeader Header, int[] Tokens, SegmentLog Segments, StateMark? Mark);

/// <summary>Reads session files. Nothing in one is believed before it is checked, and nothing larger than the file itself is allocated from it.</summary>
internal sealed class SessionFileReader : IDisposable
{
    // Lists are read in pieces, so that a claimed length costs no more than what has been read.
    private const int PieceLength = 1 << 18;

    private readonly string _path;
    private readonly SafeFileHandle _handle;
    private readonly XxHash128 _hash = new();
    private long _offset;

    private SessionFileReader(string path)
    {
        _path = path;
        try
        {
            // Shared for deletion: a save may replace the file meanwhile, and this reader goes on with the old one.
            _handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, FileOptions.SequentialScan);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new XlstmException($"{path}: there is no such session file", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CannotRead(e);
        }
    }

    /// <summary>Reads the header, the token ids and the note; the checksum of the whole file is not looked at.</summary>
    /// <exception cref="XlstmException">The file is missing, not a session file, of a newer version, damaged or cut off.</exception>
    public static (SessionFileHeader Header, int[] Tokens, string Note) ReadHead(string path)
    {
        using var reader = new SessionFileReader(path);
        SessionFileHeader header = reader.ReadHeader();
        int[] tokens = reader.ReadTokens(header);
        _ = reader.ReadSegments(header);
        return (header, tokens, Encoding.UTF8.GetString(reader.ReadNote(header)));
    }

    /// <summary>Reads and checks a whole file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="model">The model it must be of.</param>
    /// <param name="cancellationToken">Ends the load.</param>
    /// <exception cref="XlstmException">As <see cref="ReadHead"/>; or it is of another model, or memory is short.</exception>
    public static SessionFileContent Read(string path, XlstmModel model, CancellationToken cancellationToken)
    {
        using var reader = new SessionFileReader(path);
        SessionFileHeader header = reader.ReadHeader();
        if (header.Fingerprint != model.Fingerprint)
        {
            throw new XlstmException($"{path}: is of another model: fingerprint {header.Fingerprint[..16]}, expected {model.Fingerprint[..16]} ({model.Folder})");
        }

        if (header != SessionFileHeader.For(model, header.StateFormat, header.TokenCount, header.Position, header.RunCount, header.NoteBytes) with { Weights = header.Weights })
        {
            throw SessionFileHeader.Damaged(path);
        }

        int[] tokens = reader.ReadTokens(header);
        SegmentLog segments = reader.ReadSegments(header);
        _ = reader.ReadNote(header);
        if (header.Position == 0)
        {
            reader.Verify();
            return new SessionFileContent(header, tokens, segments, null);
        }

        var logits = new float[header.VocabSize];
        reader.Fill<float>(logits);
        var state = new SharedState(model.States, model.States.Rent());
        try
        {
            reader.ReadState(header, state.State, cancellationToken);
            reader.Verify();
        }
        catch
        {
            state.Release();
            throw;
        }

        return new SessionFileContent(header, tokens, segments, new StateMark(header.Position, state, logits));
    }

    public void Dispose() => _handle.Dispose();

    private SessionFileHeader ReadHeader()
    {
        long length = RandomAccess.GetLength(_handle);
        var bytes = new byte[(int)Math.Min(length, SessionFileHeader.ByteLength)];
        Fill<byte>(bytes);
        return SessionFileHeader.Parse(_path, bytes, length);
    }

    private int[] ReadTokens(SessionFileHeader header)
    {
        int[] tokens = ReadList<int>(header.TokenCount);
        foreach (int id in tokens)
        {
            if ((uint)id >= (uint)header.VocabSize)
            {
                throw new XlstmException($"{_path}: is damaged: token id {id} is not in the vocabulary of {header.VocabSize}");
            }
        }

        return tokens;
    }

    private SegmentLog ReadSegments(SessionFileHeader header)
    {
        int[] numbers = ReadList<int>(2 * (long)header.RunCount <= int.MaxValue ? 2 * header.RunCount : throw SessionFileHeader.Damaged(_path));
        var runs = new List<SegmentRun>();
        long position = 0;
        for (int i = 0; i < numbers.Length; i += 2)
        {
            (int length, int count) = (numbers[i], numbers[i + 1]);
            if (length < 1 || count < 1 || position + ((long)length * count) > header.Position)
            {
                throw SessionFileHeader.Damaged(_path);
            }

            runs.Add(new SegmentRun((int)position, length, count));
            position += (long)length * count;
        }

        return position == header.Position ? new SegmentLog(runs) : throw SessionFileHeader.Damaged(_path);
    }

    private void ReadState(SessionFileHeader header, RecurrentState state, CancellationToken cancellationToken)
    {
        int matrix = (int)header.MatrixCount;
        var block = new float[matrix + (int)header.VectorCount];
        byte[] rounded = header.StateFormat == StateFormat.BFloat16 ? new byte[matrix * sizeof(ushort)] : [];
        for (int i = 0; i < header.NumBlocks; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (header.StateFormat == StateFormat.BFloat16)
            {
                Fill<byte>(rounded);
                ElementConversion.ToFloat32(rounded, ElementType.BFloat16, block.AsSpan(0, matrix));
                Fill(block.AsSpan(matrix));
            }
            else
            {
                Fill<float>(block);
            }

            state.CopyBlockFrom(i, block);
        }
    }

    private void Verify()
    {
        byte[] expected = _hash.GetCurrentHash();
        var found = new byte[SessionFileHeader.ChecksumBytes];
        Fill<byte>(found);
        if (!found.AsSpan().SequenceEqual(expected))
        {
            throw new XlstmException($"{_path}: is damaged: its checksum does not match");
        }
    }

    private byte[] ReadNote(SessionFileHeader header) => ReadList<byte>(header.NoteBytes);

    private T[] ReadList<T>(int count)
        where T : unmanaged
    {
        var values = new List<T>();
        var piece = new T[Math.Min(count, PieceLength)];
        while (values.Count < count)
        {
            Span<T> part = piece.AsSpan(0, Math.Min(piece.Length, count - values.Count));
            Fill(part);
            values.AddRange(part);
        }

        return [.. values];
    }

    private void Fill<T>(Span<T> values)
        where T : unmanaged
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(values);
        try
        {
            for (int read = 0; read < bytes.Length;)
            {
                int count = RandomAccess.Read(_handle, bytes[read..], _offset + read);
                read += count > 0 ? count : throw new XlstmException($"{_path}: is cut off");
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CannotRead(e);
        }

        _hash.Append(bytes);
        _offset += bytes.Length;
    }

    private XlstmException CannotRead(Exception e) => new($"{_path}: cannot be read: {ErrorText.Clean(e.Message)}", e);
}
