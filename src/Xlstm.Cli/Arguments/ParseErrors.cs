using System.CommandLine;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;

namespace Xlstm.Cli.Arguments;

/// <summary>Parse errors in one line that says what to do.</summary>
internal static class ParseErrors
{
    /// <summary>The first thing wrong with a command line; null when it is right.</summary>
    public static string? Find(ParseResult parsed)
    {
        if (parsed.Action is SynchronousCommandLineAction { ClearsParseErrors: true })
        {
            return null;
        }

        if (MistypedOption(parsed) is { } mistyped)
        {
            return $"unknown option '{mistyped}'{Suggestion(mistyped, OptionNames(parsed))} (text that starts with '-' goes after --)";
        }

        if (parsed.Errors.Count == 0)
        {
            return null;
        }

        var command = parsed.CommandResult.Command;
        if (command.Subcommands.Count > 0 && parsed.UnmatchedTokens is [var unknown, ..])
        {
            return $"unknown {(unknown.StartsWith('-') ? "option" : "command")} '{unknown}'{Suggestion(unknown, command.Subcommands.Select(c => c.Name).Concat(OptionNames(parsed)))}";
        }

        if (parsed.UnmatchedTokens is [var extra, ..])
        {
            return extra.StartsWith('-')
                ? $"unknown option '{extra}'{Suggestion(extra, OptionNames(parsed))}"
                : command.Arguments is [{ Name: var name }, ..]
                    ? $"unexpected argument '{extra}': put a {name} of several words in quotes"
                    : $"unexpected argument '{extra}'";
        }
        return parsed.Errors[0] switch
        {
            { SymbolResult: OptionResult { Tokens.Count: 0, IdentifierToken: { } typed } } => $"{typed.Value} needs a value",
            { SymbolResult: OptionResult { Tokens.Count: > 1, Option.Arity.MaximumNumberOfValues: 1, IdentifierToken: { } typed } } => $"{typed.Value} is given more than once",
            var error => error.Message.TrimEnd('.'),
        };
    }

    /// <summary>
    /// An argument that is a mistyped option: the parser takes any unknown word for the argument, and a model would be asked to
    /// continue "--gredy". After <c>--</c>, or with a space in it, it is meant.
    /// </summary>
    private static string? MistypedOption(ParseResult parsed)
    {
        var meant = parsed.Tokens.SkipWhile(t => t.Type != TokenType.DoubleDash).Select(t => t.Value).ToHashSet(StringComparer.Ordinal);
        return parsed.CommandResult.Command.Arguments
            .SelectMany(argument => parsed.GetResult(argument)?.Tokens ?? [])
            .Select(token => token.Value)
            .FirstOrDefault(text => text is { Length: > 1 } && text.StartsWith('-') && !text.Any(char.IsWhiteSpace) && !meant.Contains(text));
    }

    private static IEnumerable<string> OptionNames(ParseResult parsed)
    {
        for (SymbolResult? level = parsed.CommandResult; level is not null; level = level.Parent)
        {
            if (level is CommandResult { Command: var command })
            {
                foreach (var option in command.Options.Where(o => !o.Hidden && (command == parsed.CommandResult.Command || o.Recursive)))
                {
                    yield return option.Name;
                }
            }
        }
    }

    private static string Suggestion(string typed, IEnumerable<string> names)
    {
        string word = typed.Split('=')[0];
        var best = names.Select(name => (name, distance: Distance(word, name))).OrderBy(c => c.distance).FirstOrDefault();
        return best.name is not null && best.distance <= Math.Max(1, best.name.Length / 3) ? $": did you mean '{best.name}'?" : "";
    }

    /// <summary>Levenshtein's edit distance.</summary>
    private static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(replace, Math.Min(row[j], row[j - 1]) + 1);
            }
        }
        return row[^1];
    }
}
