namespace Xlstm.Cli.LineEditing;

/// <summary>The lines entered so far, and the one being written, to be walked with the arrow keys.</summary>
internal sealed class LineHistory
{
    private readonly List<string> _lines = [];
    private int _place;
    private string _unfinished = "";

    /// <summary>Takes a line in, unless it repeats the last, and goes to the end.</summary>
    public void Add(string line)
    {
        if (line.Length > 0 && (_lines.Count == 0 || _lines[^1] != line))
        {
            _lines.Add(line);
        }

        _place = _lines.Count;
    }

    /// <summary>The line before the shown one; null at the first.</summary>
    public string? Previous(string shown)
    {
        if (_place == 0)
        {
            return null;
        }

        if (_place == _lines.Count)
        {
            _unfinished = shown;
        }

        return _lines[--_place];
    }

    /// <summary>The line after the shown one; null at the last.</summary>
    public string? Next() => _place == _lines.Count ? null : ++_place == _lines.Count ? _unfinished : _lines[_place];
}
