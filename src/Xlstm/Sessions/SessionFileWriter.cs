using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using Xlstm.Checkpoints;

namespace Xlstm.Sessions;

/// <summary>Writes session files. docs/session-file.md has the bytes.</summary>
internal sealed class SessionFileWriter : IDisposable
{
    private readonly ReplacedFile _file;
    private readonly XxHash128 _hash = new();
    private Task _behind = Task.CompletedTask;
    private long _offset;

    private SessionFileWriter(string path, long byteLength) => _file = ReplacedFile.Create(path, byteLength);

    /// <summary>Writes a file, or leaves what was there.</summary>
    /// <param name="path">The target.</param>
    /// <param name="model">The model of the state.</param>
    /// <param name="tokens">Token ids, waiting ones included.</param>
    /// <param name="segments">Covers the tokens that the state holds.</param>
    /// <param name="mark">The state; null if no token has been fed.</param>
    /// <param name="format">How to hold it.</param>
    /// <param name="note">A text of the caller's.</param>
    /// <param name="cancellationToken">Ends the save; the old file stays.</param>
    /// <exception cref="XlstmException">The file cannot be written.</exception>
    public static void Write(
        string path, XlstmModel model, ReadOnlySpan<int> tokens, SegmentLog segments, StateMark? mark, StateFormat format, string note, CancellationToken cancellationToken)
    {
        if (!BitConverter.IsLittleEndian)
        {
            throw new PlatformNotSupportedException("Session files are little-endian, and so must the machine be.");
        }

        byte[] noteBytes = Encoding.UTF8.GetBytes(note);
        var header = SessionFileHeader.For(model, format, tokens.Length, mark?.Position ?? 0, segments.Runs.Count, noteBytes.Length);
        using var writer = new SessionFileWriter(path, header.FileBytes);
        writer.Append<byte>(header.ToBytes());
        writer.Append(tokens);
        writer.Append<int>(segments.Runs.SelectMany(run => new[] { run.Length, run.Count }).ToArray());
        writer.Append<byte>(noteBytes);
        if (mark is not null)
        {
            writer.Append<float>(mark.Logits);
            writer.AppendState(header, mark.State.State, cancellationToken);
        }

        writer.FinishBehind();
        writer._file.Write(writer._hash.GetCurrentHash(), writer._offset);
        cancellationToken.ThrowIfCancellationRequested();
        writer._file.Complete();
    }

    public void Dispose()
    {
        // A write that failed has said so, or something else went wrong first; either way the file must not be closed under it.
        Task.WaitAny(_behind);
        _file.Dispose();
    }

    /// <summary>Copies, rounds and hashes a block while the one before it is being written.</summary>
    private void AppendState(SessionFileHeader header, RecurrentState state, CancellationToken cancellationToken)
    {
        int matrix = (int)header.MatrixCount, vector = (int)header.VectorCount;
        bool isRounded = header.StateFormat == StateFormat.BFloat16;
        var block = new float[matrix + vector];
        int matrixBytes = matrix * (isRounded ? sizeof(ushort) : sizeof(float));
        byte[][] buffers = [new byte[matrixBytes + (vector * sizeof(float))], new byte[matrixBytes + (vector * sizeof(float))]];
        for (int i = 0; i < header.NumBlocks; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            byte[] bytes = buffers[i % 2];
            if (isRounded)
            {
                state.CopyBlockTo(i, block);
                ElementConversion.FromFloat32(block.AsSpan(0, matrix), ElementType.BFloat16, bytes.AsSpan(0, matrixBytes));
                MemoryMarshal.AsBytes(block.AsSpan(matrix)).CopyTo(bytes.AsSpan(matrixBytes));
            }
            else
            {
                state.CopyBlockTo(i, MemoryMarshal.Cast<byte, float>(bytes.AsSpan()));
            }

            _hash.Append(bytes);
            FinishBehind();
            long offset = _offset;
            _behind = Task.Run(() => _file.Write(bytes, offset), CancellationToken.None);
            _offset += bytes.Length;
        }
    }

    private void FinishBehind() => _behind.GetAwaiter().GetResult();

    private void Append<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(values);
        _hash.Append(bytes);
        _file.Write(bytes, _offset);
        _offset += bytes.Length;
    }
}
