namespace Xlstm.Backends;

/// <summary>A set of token ids. Immutable, so that a device may keep a copy of it.</summary>
internal sealed class TokenMask
{
    private readonly uint[] _words;

    /// <param name="vocabSize">V: ids are in [0, V).</param>
    /// <param name="contains">Asked once for each id.</param>
    public TokenMask(int vocabSize, Func<int, bool> contains)
    {
        _words = new uint[(vocabSize + 31) / 32];
        for (int id = 0; id < vocabSize; id++)
        {
            _words[id / 32] |= contains(id) ? 1u << (id % 32) : 0;
        }
    }

    /// <summary>Bit id % 32 of word id / 32 is set if the id is in the set.</summary>
    public ReadOnlySpan<uint> Words => _words;

    public bool Contains(int id) => (_words[id / 32] & (1u << (id % 32))) != 0;
}
