using System.Text;

namespace Xlstm.Cli.Arguments;

/// <summary>
/// A prompt's file as a text that is read as it goes: UTF-8, without a byte order mark and without the one line end that
/// editors put at the end, as <see cref="InputText.ReadPromptAsync"/> has it.
/// </summary>
internal sealed class PromptReader : TextReader
{
    // Only at the end of the file is it known whether these are its line end.
    private const int HeldBack = 2;

    private readonly StreamReader _reader;
    private readonly char[] _buffer = new char[1 << 16];
    private int _start;
    private int _end;
    private bool _atEnd;

    /// <exception cref="IOException">The file cannot be opened.</exception>
    public PromptReader(string path)
    {
        _reader = new StreamReader(path, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), detectEncodingFromByteOrderMarks: false);
        Fill();
        _start = _end > 0 && _buffer[0] == '\uFEFF' ? 1 : 0;
    }

    public override int Read(Span<char> buffer)
    {
        while (!_atEnd && _end - _start <= HeldBack)
        {
            Fill();
        }

        int count = Math.Min(buffer.Length, Math.Max(0, _end - _start - (_atEnd ? 0 : HeldBack)));
        _buffer.AsSpan(_start, count).CopyTo(buffer);
        _start += count;
        return count;
    }

    public override int Read(char[] buffer, int index, int count) => Read(buffer.AsSpan(index, count));

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _reader.Dispose();
        }

        base.Dispose(disposing);
    }

    private void Fill()
    {
        _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
        (_start, _end) = (0, _end - _start);
        int read = _reader.Read(_buffer.AsSpan(_end));
        _end += read;
        if (read == 0)
        {
            _atEnd = true;
            var rest = _buffer.AsSpan(0, _end);
            _end -= rest.EndsWith("\r\n") ? 2 : rest.EndsWith("\n") ? 1 : 0;
        }
    }
}
