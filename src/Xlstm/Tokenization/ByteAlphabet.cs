using System.Text;

namespace Xlstm.Tokenization;

/// <summary>
/// The 256 characters in which byte-level BPE files write bytes (GPT-2's <c>bytes_to_unicode</c>): a printable character of
/// Latin-1 stands for itself, every other byte, in order, for the next character from U+0100 on.
/// </summary>
internal static class ByteAlphabet
{
    private const int FirstSubstitute = 0x100;
    private static readonly char[] Characters = BuildCharacters();
    private static readonly short[] Bytes = BuildBytes(Characters);

    /// <summary>The character that stands for a byte.</summary>
    public static char CharacterOf(byte value) => Characters[value];

    /// <summary>
    /// The bytes that a token of the file stands for. A token with any character outside the alphabet is plain text, as in
    /// the ByteLevel decoder of Hugging Face tokenizers; no input can encode to it.
    /// </summary>
    /// <returns>Whether the whole token is in the alphabet.</returns>
    public static bool TryGetBytes(string token, out byte[] bytes)
    {
        bytes = new byte[token.Length];
        for (int i = 0; i < token.Length; i++)
        {
            if (token[i] >= Bytes.Length || Bytes[token[i]] < 0)
            {
                bytes = Encoding.UTF8.GetBytes(token);
                return false;
            }
            bytes[i] = (byte)Bytes[token[i]];
        }
        return true;
    }

    private static char[] BuildCharacters()
    {
        var characters = new char[256];
        int substitutes = 0;
        for (int value = 0; value < characters.Length; value++)
        {
            bool printable = value is >= '!' and <= '~' or >= 0xA1 and <= 0xAC or >= 0xAE;
            characters[value] = (char)(printable ? value : FirstSubstitute + substitutes++);
        }
        return characters;
    }

    private static short[] BuildBytes(char[] characters)
    {
        var bytes = new short[characters.Max() + 1];
        Array.Fill(bytes, (short)-1);
        for (int value = 0; value < characters.Length; value++)
            bytes[characters[value]] = (short)value;
        return bytes;
    }
}
