namespace Xlstm.Tokenization;

/// <summary>A token that is found in the text as a whole, before BPE sees it.</summary>
/// <param name="Id">Its token id.</param>
/// <param name="Content">Its text.</param>
/// <param name="Normalized">Whether it is looked for after normalization of text and content rather than before.</param>
/// <param name="Special">Whether it marks structure (end of text, padding) rather than being text.</param>
internal sealed record AddedToken(int Id, string Content, bool Normalized, bool Special);
