using System.Diagnostics;
using System.Globalization;
using Xlstm.Cli.Output;

namespace Xlstm.Cli.Chat;

/// <summary>Writes a reply as it is made, without the white space before it, and its rate when it is done.</summary>
internal sealed class ReplyOutput(TextOutput output, bool showRate)
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private TimeSpan _first;
    private int _tokens;
    private bool _begun;

    public void Receive(GeneratedToken token)
    {
        if (_tokens++ == 0)
        {
            _first = Stopwatch.GetElapsedTime(_start);
        }

        string text = _begun ? token.Text : token.Text.TrimStart();
        _begun |= text.Length > 0;
        output.Write(text);
    }

    public void End(bool stopped)
    {
        if (output.InsideLine || !_begun)
        {
            output.Write("\n");
        }

        if (showRate)
        {
            double rest = (Stopwatch.GetElapsedTime(_start) - _first).TotalSeconds;
            string rate = _tokens > 1 && rest > 0 ? string.Create(CultureInfo.InvariantCulture, $", {(_tokens - 1) / rest:F1} tok/s") : "";
            Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"\e[2m[{_tokens} tokens{rate}, first after {_first.TotalMilliseconds:F0} ms{(stopped ? ", stopped" : "")}]\e[0m"));
        }
    }
}
