using System.Text;

namespace Xlstm.Cli.Output;

/// <summary>Facts about the terminal, and lines for people on stderr.</summary>
internal static class Terminal
{
    /// <summary>stderr is a terminal: things may be redrawn in place.</summary>
    public static bool ErrorIsTerminal => !Console.IsErrorRedirected;

    /// <summary>Columns of the terminal behind stderr; 80 when it does not say.</summary>
    public static int Width
    {
        get
        {
            try
            {
                return Console.WindowWidth is > 0 and var width ? width : 80;
            }
            catch (Exception e) when (e is IOException or PlatformNotSupportedException)
            {
                return 80;
            }
        }
    }

    /// <summary>A Windows console shows bytes in a code page of its own until told otherwise.</summary>
    public static void UseUtf8()
    {
        if (OperatingSystem.IsWindows())
        {
            Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        }
    }

    /// <summary>The one line that says what went wrong. A message of several lines is joined.</summary>
    public static void WriteError(string message) => Console.Error.WriteLine("xlstm: " + string.Join(' ', message.Split(['\r', '\n'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)));

    public static void WriteWarning(string message) => WriteError("warning: " + message);
}
