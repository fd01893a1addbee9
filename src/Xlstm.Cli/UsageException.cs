namespace Xlstm.Cli;

/// <summary>The command line is wrong in a way that only shows after parsing. The tool prints the message and exits with <see cref="ExitCode.Usage"/>.</summary>
internal sealed class UsageException(string message) : Exception(message);
