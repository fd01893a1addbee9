using System.Buffers;
using System.Text;
using Xlstm.Tokenization;

namespace Xlstm;

/// <summary>
/// Turns token ids into text one at a time, whole UTF-8 characters only: what it returns in all, <see cref="Flush"/>
/// included, is what <see cref="Tokenizer.Decode"/> makes of all the ids. For one stream of ids, one thread at a time.
/// </summary>
public sealed class Detokenizer
{
    /// <summary>A UTF-8 character has at most four bytes, so that at most three of them can wait for the rest.</summary>
    private const int MaxPending = 3;

    private readonly Tokenizer _tokenizer;
    private readonly bool _skipSpecial;
    private readonly byte[] _pending = new byte[MaxPending];
    private int _pendingCount;

    internal Detokenizer(Tokenizer tokenizer, bool skipSpecial)
    {
        _tokenizer = tokenizer;
        _skipSpecial = skipSpecial;
    }

    /// <summary>
    /// Takes the next id. A token of whole characters, with no incomplete one before it, costs no allocation once it has
    /// been met.
    /// </summary>
    /// <returns>The text that became certain: nothing while a character is incomplete or for an id without a token.</returns>
    public string Append(int id)
    {
        if (_skipSpecial && _tokenizer.IsSpecial(id))
            return "";
        if (_pendingCount == 0 && _tokenizer.GetWholeText(id) is { } whole)
            return whole;

        var bytes = new PooledBuffer<byte>(64);
        bytes.Add(_pending.AsSpan(0, _pendingCount));
        bytes.Add(_tokenizer.GetBytes(id));
        _pendingCount = IncompleteTail(bytes.Written);
        bytes.Written[^_pendingCount..].CopyTo(_pending);
        string text = Encoding.UTF8.GetString(bytes.Written[..^_pendingCount]);
        bytes.Dispose();
        return text;
    }

    /// <summary>Ends the stream and makes ready for another.</summary>
    /// <returns>U+FFFD if the ids ended within a character, else nothing.</returns>
    public string Flush()
    {
        string text = _pendingCount > 0 ? "\uFFFD" : "";
        Reset();
        return text;
    }

    /// <summary>Forgets an incomplete character and makes ready for another stream.</summary>
    public void Reset() => _pendingCount = 0;

    /// <summary>How many bytes at the end are the beginning of a character that later bytes can complete.</summary>
    private static int IncompleteTail(ReadOnlySpan<byte> bytes)
    {
        for (int length = 1; length <= Math.Min(MaxPending, bytes.Length); length++)
        {
            if (Rune.DecodeFromUtf8(bytes[^length..], out _, out _) == OperationStatus.NeedMoreData)
                return length;
        }
        return 0;
    }
}
