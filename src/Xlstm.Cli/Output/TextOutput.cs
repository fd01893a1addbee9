using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Xlstm.Cli.Output;

/// <summary>The reader of stdout has gone away.</summary>
internal sealed class OutputClosedException() : Exception("the reader of the output has closed it");

/// <summary>
/// stdout as UTF-8 without a byte order mark, written through at every call so that text appears as it is made. A pipe or file
/// gets exactly the text; on a terminal <see cref="EndLine"/> ends an unfinished line.
/// </summary>
internal sealed class TextOutput : IDisposable
{
    private readonly Stream _stream;
    private readonly bool _isPipe;
    private byte[] _bytes = new byte[256];

    public TextOutput()
    {
        // Console's own stream hides that the reader of a pipe is gone, and a tool in a pipe should end then. A file stream tells; but
        // over a regular file it would keep a position of its own and overwrite what others (2>&1) write to the same file.
        if (Console.IsOutputRedirected && !OperatingSystem.IsWindows())
        {
            var stream = new FileStream(new SafeFileHandle(1, ownsHandle: false), FileAccess.Write, bufferSize: 0);
            if (!stream.CanSeek)
            {
                (_stream, _isPipe) = (stream, true);
                return;
            }
        }
        _stream = Console.OpenStandardOutput();
    }

    /// <summary>stdout is a terminal.</summary>
    public bool IsTerminal { get; } = !Console.IsOutputRedirected;

    /// <summary>Something has been written and its last character is not a line feed.</summary>
    public bool InsideLine { get; private set; }

    // What stderr prints next would continue the text's line where both end up on one screen or in one log. Only text that goes to
    // a file while stderr goes to a terminal is surely apart.
    private bool SharesLineWithError => InsideLine && (IsTerminal || _isPipe || !Terminal.ErrorIsTerminal);

    public void Write(ReadOnlySpan<char> text)
    {
        if (text.IsEmpty)
        {
            return;
        }

        int wanted = Encoding.UTF8.GetMaxByteCount(text.Length);
        if (_bytes.Length < wanted)
        {
            _bytes = new byte[wanted];
        }

        int count = Encoding.UTF8.GetBytes(text, _bytes);
        InsideLine = text[^1] != '\n';
        Write(_bytes.AsSpan(0, count));
    }

    public void WriteLine(ReadOnlySpan<char> text)
    {
        Write(text);
        Write("\n");
    }

    /// <summary>On a terminal, ends an unfinished line.</summary>
    public void EndLine()
    {
        if (IsTerminal && InsideLine)
        {
            Write("\n");
        }
    }

    /// <summary>Ends an unfinished line before stderr is written to: the text's own on a terminal, else with a line feed on stderr, for the text is to stay as it is.</summary>
    public void EndLineBeforeError()
    {
        EndLine();
        if (SharesLineWithError)
        {
            Console.Error.WriteLine();
        }
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        try
        {
            _stream.Write(bytes);
        }
        catch (IOException) when (_isPipe)
        {
            throw new OutputClosedException();
        }
        catch (IOException e)
        {
            throw new XlstmException($"stdout cannot be written: {e.Message}", e);
        }
    }

    public void Dispose() => _stream.Dispose();
}
