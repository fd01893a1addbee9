namespace Xlstm;

/// <summary>
/// Something outside the program is wrong: a file, an option or the machine. The message is one line for the person who
/// can mend it: it names the file or value, what was expected and what was found.
/// </summary>
public class XlstmException : Exception
{
    /// <summary>For serializers and analyzers; give a message instead.</summary>
    public XlstmException()
    {
    }

    /// <param name="message">One line that names the file or value, what was expected and what was found.</param>
    public XlstmException(string message)
        : base(message)
    {
    }

    /// <param name="message">One line that names the file or value, what was expected and what was found.</param>
    /// <param name="innerException">The cause.</param>
    public XlstmException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
