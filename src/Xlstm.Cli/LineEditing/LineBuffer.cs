using System.Globalization;
using System.Text;

namespace Xlstm.Cli.LineEditing;

/// <summary>A line of text and a place in it, edited as on any command line. It knows nothing of screens and keys.</summary>
internal sealed class LineBuffer
{
    private readonly StringBuilder _text = new();

    public string Text => _text.ToString();

    /// <summary>Where the next character goes, in [0, length].</summary>
    public int Position { get; private set; }

    public void Set(string text)
    {
        _text.Clear().Append(text);
        Position = text.Length;
    }

    public void Insert(string text)
    {
        _text.Insert(Position, text);
        Position += text.Length;
    }

    public void Left() => Position = Before(Position);

    public void Right() => Position = After(Position);

    public void Home() => Position = 0;

    public void End() => Position = _text.Length;

    public void WordLeft() => Position = WordStart();

    public void WordRight()
    {
        while (Position < _text.Length && char.IsWhiteSpace(_text[Position]))
        {
            Position++;
        }

        while (Position < _text.Length && !char.IsWhiteSpace(_text[Position]))
        {
            Position++;
        }
    }

    public void Backspace() => Cut(Before(Position), Position);

    public void Delete() => Cut(Position, After(Position));

    public void DeleteWord() => Cut(WordStart(), Position);

    public void DeleteToStart() => Cut(0, Position);

    public void DeleteToEnd() => Cut(Position, _text.Length);

    private int WordStart()
    {
        int start = Position;
        while (start > 0 && char.IsWhiteSpace(_text[start - 1]))
        {
            start--;
        }

        while (start > 0 && !char.IsWhiteSpace(_text[start - 1]))
        {
            start--;
        }

        return start;
    }

    private void Cut(int from, int to)
    {
        _text.Remove(from, to - from);
        Position = from;
    }

    // What a person sees as one character may be several in memory.
    private int After(int position) => position == _text.Length ? position : position + StringInfo.GetNextTextElementLength(Text, position);

    private int Before(int position)
    {
        int before = 0;
        for (int next = 0; next < position; next = After(next))
        {
            before = next;
        }

        return before;
    }
}
