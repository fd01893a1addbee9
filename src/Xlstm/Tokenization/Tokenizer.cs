namespace Xlstm;

/// <summary>A byte-level BPE tokenizer read from tokenizer.json. Immutable and thread-safe.</summary>
public sealed class Tokenizer
{
}
