using Xlstm.Cli.LineEditing;

namespace Xlstm.Cli.Chat;

/// <summary>Where messages come from: a person at a terminal, or the lines of a pipe.</summary>
internal sealed class ChatInput
{
    private const string BlockMark = "\"\"\"";

    private readonly LineEditor? _editor;

    /// <param name="commands">What Tab completes.</param>
    public ChatInput(IReadOnlyList<string> commands)
    {
        IsTerminal = !Console.IsInputRedirected && !Console.IsErrorRedirected;
        _editor = IsTerminal ? new LineEditor(commands) : null;
    }

    public bool IsTerminal { get; }

    /// <summary>
    /// Reads a message: a line; lines joined by a backslash at the end of each but the last; or the lines between two of
    /// <c>"""</c>.
    /// </summary>
    /// <param name="initial">What a person at a terminal starts from.</param>
    /// <param name="cancellationToken">Gives up waiting; the read itself is left behind.</param>
    /// <returns>The message; "" where one was abandoned; null at the end of the input.</returns>
    public async Task<string?> ReadAsync(string initial, CancellationToken cancellationToken)
    {
        string? line = await ReadLineAsync("> ", initial, cancellationToken).ConfigureAwait(false);
        if (line is null || !(line.EndsWith('\\') || line.StartsWith(BlockMark, StringComparison.Ordinal)))
        {
            return line;
        }

        bool isBlock = line.StartsWith(BlockMark, StringComparison.Ordinal);
        var lines = new List<string>();
        line = isBlock ? line[BlockMark.Length..] : line;
        while (line is not null)
        {
            if (isBlock && line.EndsWith(BlockMark, StringComparison.Ordinal))
            {
                lines.Add(line[..^BlockMark.Length]);
                break;
            }

            lines.Add(isBlock ? line : line.TrimEnd('\\'));
            if (!isBlock && !line.EndsWith('\\'))
            {
                break;
            }

            line = await ReadLineAsync(". ", "", cancellationToken).ConfigureAwait(false);
        }

        return string.Join('\n', lines).Trim('\n');
    }

    private async Task<string?> ReadLineAsync(string prompt, string initial, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return await Task.Run(() => _editor is null ? Console.In.ReadLine() : _editor.Read(prompt, initial), cancellationToken).WaitAsync(cancellationToken).ConfigureAwait(false);
    }
}
