using System.Text;

namespace Xlstm.Chat;

/// <summary>What a token of a template is.</summary>
internal enum JinjaTokenKind
{
    /// <summary>Text outside of any braces.</summary>
    Text,

    /// <summary><c>{{</c></summary>
    BeginExpression,

    /// <summary><c>{%</c></summary>
    BeginStatement,

    /// <summary><c>}}</c> or <c>%}</c></summary>
    End,

    /// <summary>A name or keyword.</summary>
    Name,

    /// <summary>A string literal, unescaped.</summary>
    String,

    /// <summary>A whole number.</summary>
    Integer,

    /// <summary>An operator or bracket.</summary>
    Symbol,
}

/// <summary>A token of a template.</summary>
internal readonly record struct JinjaToken(JinjaTokenKind Kind, string Text);

/// <summary>
/// Cuts a template into tokens. As Hugging Face transformers sets it up: the line feed after a statement and the blanks before
/// one on its line are dropped, as is one line feed at the end of it all, and <c>-</c> at a brace drops all white space on its side.
/// </summary>
internal static class JinjaLexer
{
    private static readonly string[] Symbols = ["==", "!=", "<=", ">=", "<", ">", "=", "+", "-", "~", "|", ".", ",", ":", "(", ")", "[", "]", "%"];

    /// <exception cref="XlstmException">Something is not closed, or a character has no place in a template.</exception>
    public static IReadOnlyList<JinjaToken> Read(string source)
    {
        source = source.EndsWith('\n') ? source[..^1] : source;
        var tokens = new List<JinjaToken>();
        int position = 0;
        bool trimStart = false;
        while (position < source.Length)
        {
            int open = NextBrace(source, position);
            bool isStatement = open < source.Length && source[open + 1] != '{';
            bool trimEnd = open + 2 < source.Length && source[open + 2] == '-';
            AddText(tokens, source[position..open], trimStart, trimEnd, isStatement && StartsLine(source, open));
            if (open == source.Length)
            {
                break;
            }

            position = open + 2 + (trimEnd ? 1 : 0);
            if (source[open + 1] == '#')
            {
                int close = source.IndexOf("#}", position, StringComparison.Ordinal);
                position = close >= 0 ? close + 2 : throw new XlstmException("a comment is not closed");
                trimStart = source[close - 1] == '-';
            }
            else
            {
                tokens.Add(new JinjaToken(isStatement ? JinjaTokenKind.BeginStatement : JinjaTokenKind.BeginExpression, source.Substring(open, 2)));
                trimStart = ReadCode(tokens, source, ref position, isStatement ? "%}" : "}}");
            }

            if (isStatement && !trimStart && position < source.Length && source[position] == '\n')
            {
                position++;
            }
        }

        return tokens;
    }

    private static bool StartsLine(string source, int position) =>
        source.AsSpan(0, position).TrimEnd(" \t") is var before && (before.IsEmpty || before[^1] == '\n');

    private static int NextBrace(string source, int position)
    {
        for (int i = source.IndexOf('{', position); i >= 0 && i + 1 < source.Length; i = source.IndexOf('{', i + 1))
        {
            if (source[i + 1] is '{' or '%' or '#')
            {
                return i;
            }
        }

        return source.Length;
    }

    private static void AddText(List<JinjaToken> tokens, string text, bool trimStart, bool trimEnd, bool trimBlanks)
    {
        text = trimStart ? text.TrimStart() : text;
        text = trimEnd ? text.TrimEnd() : trimBlanks ? text.TrimEnd(' ', '\t') : text;
        if (text.Length > 0)
        {
            tokens.Add(new JinjaToken(JinjaTokenKind.Text, text));
        }
    }

    /// <returns>Whether white space after the code is dropped.</returns>
    private static bool ReadCode(List<JinjaToken> tokens, string source, ref int position, string close)
    {
        while (position < source.Length)
        {
            ReadOnlySpan<char> rest = source.AsSpan(position);
            if (rest.StartsWith(close) || (rest[0] == '-' && rest[1..].StartsWith(close)))
            {
                bool trim = rest[0] == '-';
                position += close.Length + (trim ? 1 : 0);
                tokens.Add(new JinjaToken(JinjaTokenKind.End, close));
                return trim;
            }

            if (char.IsWhiteSpace(rest[0]))
            {
                position++;
            }
            else if (rest[0] is '\'' or '"')
            {
                tokens.Add(new JinjaToken(JinjaTokenKind.String, ReadString(source, ref position)));
            }
            else
            {
                tokens.Add(ReadWord(rest));
                position += tokens[^1].Text.Length;
            }
        }

        throw new XlstmException($"{(close == "}}" ? "{{" : "{%")} is not closed");
    }

    private static JinjaToken ReadWord(ReadOnlySpan<char> rest)
    {
        int length = 0;
        while (length < rest.Length && (char.IsAsciiLetterOrDigit(rest[length]) || rest[length] == '_'))
        {
            length++;
        }

        if (length > 0)
        {
            return new JinjaToken(char.IsAsciiDigit(rest[0]) ? JinjaTokenKind.Integer : JinjaTokenKind.Name, rest[..length].ToString());
        }

        foreach (string symbol in Symbols)
        {
            if (rest.StartsWith(symbol))
            {
                return new JinjaToken(JinjaTokenKind.Symbol, symbol);
            }
        }

        throw new XlstmException($"the character '{rest[0]}' is not supported");
    }

    private static string ReadString(string source, ref int position)
    {
        char quote = source[position++];
        var text = new StringBuilder();
        for (; position < source.Length; position++)
        {
            char c = source[position];
            if (c == quote)
            {
                position++;
                return text.ToString();
            }

            if (c == '\\' && position + 1 < source.Length)
            {
                c = source[++position] switch { 'n' => '\n', 't' => '\t', 'r' => '\r', var other => other };
            }

            text.Append(c);
        }

        throw new XlstmException("a string is not closed");
    }
}
