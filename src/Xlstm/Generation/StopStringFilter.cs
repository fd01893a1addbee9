using System.Buffers;
using System.Text;

namespace Xlstm.Generation;

/// <summary>
/// Ends a stream of text at the first stop string in it and holds back only what may be the start of one. The first to be
/// complete wins and, of those complete at the same character, the longest: so the outcome does not depend on how the text is cut
/// into tokens.
/// </summary>
/// <remarks>
/// An Aho-Corasick automaton (Communications of the ACM 18(6), 1975): time linear in the text, however many stop strings there are. The depth of
/// the automaton's node is the length of the longest end of the text that starts a stop string, which is what must be held back.
/// </remarks>
internal sealed class StopStringFilter
{
    private readonly Dictionary<(int Node, char Character), int> _next = [];
    private readonly List<int> _depth = [0];       // characters from the root to the node
    private readonly List<int> _fallback = [0];    // node of the longest proper end of this node's text that starts a stop string
    private readonly List<int> _matchLength = [0]; // length of the longest stop string that ends this node's text; 0 if none does
    private readonly SearchValues<char> _firstCharacters;
    private int _node;
    private string _held = "";
    private bool _stopped;

    /// <exception cref="XlstmException">A stop string is empty or no valid text.</exception>
    public StopStringFilter(IReadOnlyList<string> stops)
    {
        foreach (string stop in stops)
        {
            Validate(stop);
            int node = 0;
            foreach (char character in stop)
            {
                if (!_next.TryGetValue((node, character), out int child))
                {
                    child = _depth.Count;
                    _next.Add((node, character), child);
                    _depth.Add(_depth[node] + 1);
                    _fallback.Add(0);
                    _matchLength.Add(0);
                }

                node = child;
            }

            _matchLength[node] = stop.Length;
        }

        // Shallow nodes first: a node's fallback is shallower than the node.
        foreach (((int parent, char character), int node) in _next.OrderBy(edge => _depth[edge.Value]))
        {
            _fallback[node] = parent == 0 ? 0 : Step(_fallback[parent], character);
            if (_matchLength[node] == 0)
            {
                _matchLength[node] = _matchLength[_fallback[node]];
            }
        }

        _firstCharacters = SearchValues.Create([.. stops.Select(stop => stop[0])]);
    }

    /// <summary>Refuses a stop string that could never be found in text, or would be found everywhere.</summary>
    /// <exception cref="XlstmException">It is empty or has half of a surrogate pair.</exception>
    public static void Validate(string stop)
    {
        if (stop.Length == 0)
        {
            throw new XlstmException("a stop string must have at least one character, found an empty one");
        }

        for (int i = 0; i < stop.Length; i++)
        {
            if (Rune.DecodeFromUtf16(stop.AsSpan(i), out Rune rune, out int length) != OperationStatus.Done)
            {
                throw new XlstmException($"a stop string must be valid text, found half of a surrogate pair at its character {i}");
            }

            i += length - 1;
        }
    }

    /// <summary>Takes in text.</summary>
    /// <param name="text">What follows the text of earlier calls.</param>
    /// <param name="stopped">Whether a stop string has been found; what follows it is dropped.</param>
    /// <returns>The text that became certain, <paramref name="text"/> itself when no stop string can have begun.</returns>
    public string Append(string text, out bool stopped)
    {
        stopped = _stopped;
        if (_stopped)
        {
            return "";
        }

        if (_node == 0 && !text.AsSpan().ContainsAny(_firstCharacters))
        {
            return text;
        }

        for (int i = 0; i < text.Length; i++)
        {
            _node = Step(_node, text[i]);
            int match = _matchLength[_node];
            if (match > 0)
            {
                stopped = _stopped = true;
                string certain = Release(text, i + 1 - match);
                _held = "";
                return certain;
            }
        }

        return Release(text, text.Length - _depth[_node]);
    }

    /// <summary>Ends the text: what was still held back, which no stop string can be made of any more. The filter can then start anew.</summary>
    public string Flush()
    {
        string held = _held;
        _held = "";
        _node = 0;
        _stopped = false;
        return held;
    }

    private int Step(int node, char character)
    {
        int next;
        while (!_next.TryGetValue((node, character), out next) && node != 0)
        {
            node = _fallback[node];
        }

        return next;
    }

    /// <summary>Hands out all text before a place in the newest piece (before it, if negative: in what was held) and holds the rest.</summary>
    private string Release(string text, int end)
    {
        if (_held.Length > 0)
        {
            end += _held.Length;
            text = _held + text;
        }

        _held = text[end..];
        return text[..end];
    }
}
