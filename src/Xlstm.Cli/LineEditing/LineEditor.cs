using Xlstm.Cli.Output;

namespace Xlstm.Cli.LineEditing;

/// <summary>
/// Reads lines from a terminal with the usual keys: arrows, Home and End, Ctrl+A/E/B/F/K/U/W/L, history with up and down (or
/// Ctrl+P/N), completion with Tab. Written to stderr, so that stdout stays the text alone.
/// </summary>
/// <param name="complete">Words that Tab may complete a line to.</param>
internal sealed class LineEditor(IReadOnlyList<string> complete)
{
    private readonly LineHistory _history = new();

    /// <summary>Reads a line.</summary>
    /// <param name="prompt">Shown before it.</param>
    /// <param name="initial">What stands in it at first.</param>
    /// <returns>The line; "" at Ctrl+C; null at Ctrl+D on an empty line.</returns>
    public string? Read(string prompt, string initial)
    {
        var line = new LineBuffer();
        line.Set(initial);
        bool before = Console.TreatControlCAsInput;
        Console.TreatControlCAsInput = true;
        try
        {
            while (true)
            {
                Draw(prompt, line);
                ConsoleKeyInfo key = Console.ReadKey(intercept: true);
                bool control = key.Modifiers.HasFlag(ConsoleModifiers.Control);
                if (control && key.Key == ConsoleKey.C)
                {
                    Console.Error.WriteLine("^C");
                    return "";
                }

                if (control && key.Key == ConsoleKey.D && line.Text.Length == 0)
                {
                    Console.Error.WriteLine();
                    return null;
                }

                if (key.Key == ConsoleKey.Enter)
                {
                    line.End();
                    Draw(prompt, line);
                    Console.Error.WriteLine();
                    _history.Add(line.Text);
                    return line.Text;
                }

                Apply(key, control, line);
            }
        }
        finally
        {
            Console.TreatControlCAsInput = before;
        }
    }

    private void Apply(ConsoleKeyInfo key, bool control, LineBuffer line)
    {
        switch (key.Key)
        {
            case ConsoleKey.LeftArrow when control: line.WordLeft(); break;
            case ConsoleKey.RightArrow when control: line.WordRight(); break;
            case ConsoleKey.LeftArrow: case ConsoleKey.B when control: line.Left(); break;
            case ConsoleKey.RightArrow: case ConsoleKey.F when control: line.Right(); break;
            case ConsoleKey.Home: case ConsoleKey.A when control: line.Home(); break;
            case ConsoleKey.End: case ConsoleKey.E when control: line.End(); break;
            case ConsoleKey.UpArrow: case ConsoleKey.P when control: Show(_history.Previous(line.Text), line); break;
            case ConsoleKey.DownArrow: case ConsoleKey.N when control: Show(_history.Next(), line); break;
            case ConsoleKey.Backspace when control: case ConsoleKey.W when control: line.DeleteWord(); break;
            case ConsoleKey.Backspace: case ConsoleKey.H when control: line.Backspace(); break;
            case ConsoleKey.Delete: case ConsoleKey.D when control: line.Delete(); break;
            case ConsoleKey.K when control: line.DeleteToEnd(); break;
            case ConsoleKey.U when control: line.DeleteToStart(); break;
            case ConsoleKey.L when control: Console.Error.Write("\e[H\e[2J"); break;
            case ConsoleKey.Tab: Complete(line); break;
            default:
                if (!char.IsControl(key.KeyChar))
                {
                    line.Insert(key.KeyChar.ToString());
                }

                break;
        }
    }

    private static void Show(string? text, LineBuffer line)
    {
        if (text is not null)
        {
            line.Set(text);
        }
    }

    private void Complete(LineBuffer line)
    {
        string[] fitting = [.. complete.Where(word => line.Text.Length > 0 && word.StartsWith(line.Text, StringComparison.Ordinal))];
        if (fitting.Length == 1)
        {
            line.Set(fitting[0] + " ");
        }
        else if (fitting.Length > 1)
        {
            Console.Error.WriteLine();
            Console.Error.WriteLine(string.Join("  ", fitting));
        }
    }

    private static void Draw(string prompt, LineBuffer line)
    {
        var view = LineView.Of(line.Text, line.Position, Math.Max(2, Terminal.Width - prompt.Length - 1));
        int cursor = prompt.Length + view.Cursor;
        Console.Error.Write($"\r{prompt}{view.Text}\e[K\r{(cursor > 0 ? $"\e[{cursor}C" : "")}");
    }
}
