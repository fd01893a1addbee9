namespace Xlstm.Tokenization;

/// <summary>
/// Cuts a text that is too long to hold at places that no token spans: before a blank that follows a printable ASCII character.
/// The GPT-2 pattern ends a piece there whatever follows, a blank composes with nothing before it, and no added token may have
/// such a place inside.
/// </summary>
/// <param name="text">The text.</param>
/// <param name="pieceLength">Characters to read at a time, at least 2.</param>
/// <param name="cutBeforeLineFeed">Whether a line feed is as good as a blank; not where text that does not begin with a blank gets one.</param>
internal sealed class TextPieces(TextReader text, int pieceLength, bool cutBeforeLineFeed)
{
    private char[] _buffer = new char[pieceLength];
    private int _length;
    private int _handedOut;
    private bool _atEnd;

    /// <summary>Whether a token contains a place where a text might be cut.</summary>
    public static bool Spans(string token)
    {
        for (int i = 1; i < token.Length; i++)
        {
            if (IsCut(token, i, cutBeforeLineFeed: true))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The next piece, valid until the next call; empty at the end.</summary>
    public ReadOnlySpan<char> Next()
    {
        // What was handed out last time makes room.
        _buffer.AsSpan(_handedOut, _length - _handedOut).CopyTo(_buffer);
        _length -= _handedOut;
        while (true)
        {
            Fill();
            _handedOut = _atEnd ? _length : LastCut();
            if (_handedOut > 0 || _atEnd)
            {
                return _buffer.AsSpan(0, _handedOut);
            }

            Array.Resize(ref _buffer, 2 * _buffer.Length);
        }
    }

    private void Fill()
    {
        while (!_atEnd && _length < _buffer.Length)
        {
            int read = text.Read(_buffer.AsSpan(_length));
            _atEnd = read == 0;
            _length += read;
        }
    }

    private int LastCut()
    {
        int cut = _length - 1;
        while (cut > 0 && !IsCut(_buffer, cut, cutBeforeLineFeed))
        {
            cut--;
        }

        return cut;
    }

    private static bool IsCut(ReadOnlySpan<char> text, int position, bool cutBeforeLineFeed) =>
        (text[position] == ' ' || (cutBeforeLineFeed && text[position] == '\n')) && text[position - 1] is > ' ' and < '\x7F';
}
