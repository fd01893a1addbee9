using System.Buffers;

namespace Xlstm.Tokenization;

/// <summary>Finds the leftmost, and there the longest, of a set of added tokens: a trie over the tokens' bytes.</summary>
internal sealed class AddedTokenMatcher
{
    private readonly Dictionary<(int Node, byte Next), int> _children = [];
    private readonly List<int> _ids = [-1];
    private readonly SearchValues<byte> _firstBytes;

    /// <param name="tokens">Contents, none of them empty, and ids. Of equal contents the first counts.</param>
    public AddedTokenMatcher(IReadOnlyCollection<(byte[] Content, int Id)> tokens)
    {
        foreach (var (content, id) in tokens)
        {
            int node = 0;
            foreach (byte next in content)
            {
                if (!_children.TryGetValue((node, next), out int child))
                {
                    child = _ids.Count;
                    _ids.Add(-1);
                    _children.Add((node, next), child);
                }
                node = child;
            }
            if (_ids[node] < 0)
                _ids[node] = id;
        }
        _firstBytes = SearchValues.Create([.. tokens.Select(token => token.Content[0]).Distinct()]);
    }

    /// <summary>Finds the first token in <paramref name="text"/> at or after <paramref name="from"/>.</summary>
    public bool TryFind(ReadOnlySpan<byte> text, int from, out int start, out int end, out int id)
    {
        for (start = from; start < text.Length; start++)
        {
            int skipped = text[start..].IndexOfAny(_firstBytes);
            if (skipped < 0)
                break;
            start += skipped;
            if (TryMatch(text[start..], out int length, out id))
            {
                end = start + length;
                return true;
            }
        }
        start = end = text.Length;
        id = -1;
        return false;
    }

    private bool TryMatch(ReadOnlySpan<byte> text, out int length, out int id)
    {
        length = 0;
        id = -1;
        int node = 0;
        for (int i = 0; i < text.Length && _children.TryGetValue((node, text[i]), out node); i++)
        {
            if (_ids[node] >= 0)
            {
                length = i + 1;
                id = _ids[node];
            }
        }
        return length > 0;
    }
}
