using System.Text;

namespace Xlstm.Cli.Arguments;

/// <summary>Text from a file or stdin.</summary>
internal static class InputText
{
    public const string StandardInput = "-";

    public static string Name(string path) => path == StandardInput ? "stdin" : path;

    /// <summary>Every byte of a file, or of stdin for "-".</summary>
    public static async Task<byte[]> ReadBytesAsync(string path, CancellationToken cancellationToken)
    {
        if (path != StandardInput)
        {
            return await File.ReadAllBytesAsync(path, cancellationToken).ConfigureAwait(false);
        }
        // A read of stdin cannot be cancelled, so it is left behind on its thread when Ctrl+C comes.
        return await Task.Run(
            () =>
            {
                using var input = Console.OpenStandardInput();
                using var bytes = new MemoryStream();
                input.CopyTo(bytes);
                return bytes.ToArray();
            },
            cancellationToken).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>As UTF-8; a byte order mark is dropped, a byte that is not UTF-8 reads as U+FFFD.</summary>
    public static async Task<string> ReadAsync(string path, CancellationToken cancellationToken)
    {
        byte[] bytes = await ReadBytesAsync(path, cancellationToken).ConfigureAwait(false);
        var text = bytes.AsSpan();
        return Encoding.UTF8.GetString(text.StartsWith(Encoding.UTF8.Preamble) ? text[Encoding.UTF8.Preamble.Length..] : text);
    }

    /// <summary>
    /// A prompt: without the one line end that <c>echo</c> and editors put at the end of text, which as part of a prompt would
    /// have the model start a new line.
    /// </summary>
    public static async Task<string> ReadPromptAsync(string path, CancellationToken cancellationToken)
    {
        string text = await ReadAsync(path, cancellationToken).ConfigureAwait(false);
        return text.EndsWith("\r\n", StringComparison.Ordinal) ? text[..^2] : text.EndsWith('\n') ? text[..^1] : text;
    }
}
