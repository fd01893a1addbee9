using System.Buffers;
using System.Text;
using System.Text.Unicode;
using Xlstm.Tokenization;

namespace Xlstm;

/// <summary>
/// A byte-level BPE tokenizer read from tokenizer.json, giving the ids that Hugging Face tokenizers gives without special
/// tokens added. Immutable and thread-safe.
/// </summary>
public sealed class Tokenizer
{
    private readonly byte[]?[] _bytes;
    private readonly bool[] _special;
    // Texts of tokens that are whole UTF-8 characters, made when first asked for; "" for those that are not. Two threads may
    // make the same one, of which either is right.
    private readonly string?[] _texts;
    private readonly AddedTokenMatcher _verbatim;
    private readonly AddedTokenMatcher _normalized;
    private readonly BytePairEncoder _encoder;
    private readonly bool _normalizes;
    private readonly bool _addPrefixSpace;
    private readonly bool _useRegex;
    private readonly bool _canCut;

    private Tokenizer(TokenizerDefinition definition, string? folder)
    {
        IReadOnlyDictionary<string, int> vocabulary = definition.Vocabulary;
        MaxId = Math.Max(vocabulary.Values.Max(), definition.AddedTokens.Select(token => token.Id).DefaultIfEmpty(0).Max());
        _bytes = new byte[MaxId + 1][];
        _special = new bool[MaxId + 1];
        _texts = new string[MaxId + 1];
        _normalizes = definition.Normalizes;
        _addPrefixSpace = definition.AddPrefixSpace;
        _useRegex = definition.UseRegex;

        int[] byteIds = new int[256];
        Array.Fill(byteIds, -1);
        var encodable = new List<(byte[], int)>(vocabulary.Count);
        foreach (var (token, id) in vocabulary)
        {
            if (ByteAlphabet.TryGetBytes(token, out byte[] bytes) && bytes.Length > 0)
            {
                encodable.Add((bytes, id));
                if (bytes.Length == 1)
                    byteIds[bytes[0]] = id;
            }
            _bytes[id] = bytes;
        }
        _encoder = new BytePairEncoder(byteIds, definition.Merges, encodable, definition.IgnoreMerges);

        var addedIds = new Dictionary<string, int>();
        foreach (AddedToken token in definition.AddedTokens)
        {
            _bytes[token.Id] = Encoding.UTF8.GetBytes(token.Content);
            _special[token.Id] = token.Special;
            addedIds.Add(token.Content, token.Id);
        }
        // Special tokens first, as in Hugging Face tokenizers: of equal contents after normalization the first counts.
        var matched = definition.AddedTokens.OrderByDescending(token => token.Special).ToArray();
        _verbatim = new([.. matched.Where(token => !token.Normalized).Select(token => (_bytes[token.Id]!, token.Id))]);
        _normalized = new([.. matched.Where(token => token.Normalized).Select(token => (Normalize(_bytes[token.Id]!), token.Id))]);

        _canCut = _useRegex && !definition.AddedTokens.Any(token => TextPieces.Spans(token.Content));
        VocabularySize = _bytes.Count(bytes => bytes is not null);
        BeginOfText = SpecialTokenFiles.Find(folder, "bos_token", IdOf);
        EndOfText = SpecialTokenFiles.Find(folder, "eos_token", IdOf);

        int? IdOf(string content) =>
            addedIds.TryGetValue(content, out int id) || vocabulary.TryGetValue(content, out id) ? id : null;
    }

    /// <summary>How many ids have a token. The highest id can be larger, and a model can have more rows than that.</summary>
    public int VocabularySize { get; }

    /// <summary>The highest id that has a token.</summary>
    public int MaxId { get; }

    /// <summary>
    /// Id of the token that begins a text, by special_tokens_map.json, else by tokenizer_config.json, else that of
    /// <c>&lt;|endoftext|&gt;</c>; null if there is none. <see cref="Encode(string)"/> does not add it.
    /// </summary>
    public int? BeginOfText { get; }

    /// <summary>Id of the token that ends a text, found like <see cref="BeginOfText"/>; null if there is none.</summary>
    public int? EndOfText { get; }

    /// <summary>
    /// Reads the tokenizer of a checkpoint: tokenizer.json, and special_tokens_map.json and tokenizer_config.json where
    /// present.
    /// </summary>
    /// <param name="folder">The checkpoint's folder.</param>
    /// <exception cref="Checkpoints.CheckpointException">A file is missing, damaged, contradictory or of a kind not supported.</exception>
    public static Tokenizer Load(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return new Tokenizer(TokenizerReader.Read(Path.Combine(folder, "tokenizer.json")), folder);
    }

    /// <summary>Reads one tokenizer.json and nothing beside it.</summary>
    /// <param name="tokenizerJsonPath">The file.</param>
    /// <exception cref="Checkpoints.CheckpointException">The file is missing, damaged, contradictory or of a kind not supported.</exception>
    public static Tokenizer LoadFile(string tokenizerJsonPath)
    {
        ArgumentNullException.ThrowIfNull(tokenizerJsonPath);
        return new Tokenizer(TokenizerReader.Read(tokenizerJsonPath), folder: null);
    }

    /// <summary>Whether an id has a token; false for padding rows of a vocabulary and for ids outside of it.</summary>
    public bool HasToken(int id) => (uint)id < (uint)_bytes.Length && _bytes[id] is not null;

    /// <summary>Whether an id is of a token that marks structure (end of text, padding) rather than being text.</summary>
    public bool IsSpecial(int id) => (uint)id < (uint)_special.Length && _special[id];

    /// <summary>Bytes of a token's text, which need not be whole UTF-8 characters; of an added token its content; empty without a token.</summary>
    public ReadOnlySpan<byte> GetBytes(int id) => HasToken(id) ? _bytes[id] : default;

    /// <summary>Token ids of a text; nothing is added before or after. A lone surrogate counts as U+FFFD.</summary>
    public int[] Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Encode(text.AsSpan());
    }

    /// <inheritdoc cref="Encode(string)"/>
    public int[] Encode(ReadOnlySpan<char> text)
    {
        byte[] utf8 = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetByteCount(text));
        int[] ids = EncodeValid(utf8.AsSpan(0, Encoding.UTF8.GetBytes(text, utf8)));
        ArrayPool<byte>.Shared.Return(utf8);
        return ids;
    }

    /// <summary>Token ids of a text that is read piece by piece and never held whole: those that <see cref="Encode(string)"/> gives for all of it.</summary>
    /// <param name="text">The text, read to its end.</param>
    /// <param name="cancellationToken">Honoured between pieces.</param>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public int[] Encode(TextReader text, CancellationToken cancellationToken = default) => Encode(text, pieceLength: 1 << 16, cancellationToken);

    internal int[] Encode(TextReader text, int pieceLength, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (!_canCut)
        {
            return Encode(text.ReadToEnd());
        }

        var ids = new List<int>();
        var pieces = new TextPieces(text, pieceLength, cutBeforeLineFeed: !_addPrefixSpace);
        while (pieces.Next() is { IsEmpty: false } piece)
        {
            cancellationToken.ThrowIfCancellationRequested();
            ids.AddRange(Encode(piece));
        }

        return [.. ids];
    }

    /// <summary>
    /// Token ids of a text in UTF-8; nothing is added before or after. What is not valid UTF-8 counts as U+FFFD, as
    /// <see cref="Encoding.UTF8"/> reads it.
    /// </summary>
    public int[] EncodeUtf8(ReadOnlySpan<byte> utf8) => Utf8.IsValid(utf8) ? EncodeValid(utf8) : Encode(Encoding.UTF8.GetString(utf8));

    /// <summary>Text of token ids. Bytes that are not UTF-8 become U+FFFD; ids without a token count as nothing.</summary>
    /// <param name="ids">The ids.</param>
    /// <param name="skipSpecial">Whether to leave out the tokens of <see cref="IsSpecial"/>.</param>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecial = false)
    {
        var text = new PooledBuffer<byte>(4 * ids.Length);
        foreach (int id in ids)
        {
            if (!(skipSpecial && IsSpecial(id)))
                text.Add(GetBytes(id));
        }
        string decoded = Encoding.UTF8.GetString(text.Written);
        text.Dispose();
        return decoded;
    }

    /// <summary>A decoder that takes ids one at a time.</summary>
    /// <param name="skipSpecial">Whether to leave out the tokens of <see cref="IsSpecial"/>.</param>
    public Detokenizer CreateDetokenizer(bool skipSpecial = false) => new(this, skipSpecial);

    /// <summary>The text of a token that is whole UTF-8 characters, always the same string; else null.</summary>
    internal string? GetWholeText(int id)
    {
        if (!HasToken(id))
            return null;
        string text = _texts[id] ??= Utf8.IsValid(_bytes[id]) ? Encoding.UTF8.GetString(_bytes[id]!) : "";
        return text.Length > 0 ? text : null;
    }

    private int[] EncodeValid(ReadOnlySpan<byte> text)
    {
        var ids = new PooledBuffer<int>(text.Length / 3 + 16);
        int position = 0;
        while (_verbatim.TryFind(text, position, out int start, out int end, out int id))
        {
            EncodeSegment(text[position..start], ref ids);
            ids.Add(id);
            position = end;
        }
        EncodeSegment(text[position..], ref ids);
        int[] encoded = ids.Written.ToArray();
        ids.Dispose();
        return encoded;
    }

    /// <summary>Encodes text between added tokens that are looked for before normalization.</summary>
    private void EncodeSegment(ReadOnlySpan<byte> text, ref PooledBuffer<int> ids)
    {
        var composed = new PooledBuffer<byte>(0);
        if (_normalizes && CanonicalComposition.TryCompose(text, ref composed))
            text = composed.Written;
        int position = 0;
        while (_normalized.TryFind(text, position, out int start, out int end, out int id))
        {
            EncodePieces(text[position..start], ref ids);
            ids.Add(id);
            position = end;
        }
        EncodePieces(text[position..], ref ids);
        composed.Dispose();
    }

    /// <summary>Encodes text between any added tokens. To the pattern it is the whole text: it sees neither neighbour.</summary>
    private void EncodePieces(ReadOnlySpan<byte> text, ref PooledBuffer<int> ids)
    {
        if (text.IsEmpty)
            return;
        var prefixed = new PooledBuffer<byte>(0);
        if (_addPrefixSpace && text[0] != ' ')
        {
            prefixed.Add((byte)' ');
            prefixed.Add(text);
            text = prefixed.Written;
        }
        while (!text.IsEmpty)
        {
            int length = _useRegex ? Gpt2Pattern.FirstPieceLength(text) : text.Length;
            _encoder.Encode(text[..length], ref ids);
            text = text[length..];
        }
        prefixed.Dispose();
    }

    private byte[] Normalize(byte[] text)
    {
        var composed = new PooledBuffer<byte>(0);
        byte[] normalized = _normalizes && CanonicalComposition.TryCompose(text, ref composed) ? composed.Written.ToArray() : text;
        composed.Dispose();
        return normalized;
    }
}
