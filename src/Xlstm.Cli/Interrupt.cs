using System.Runtime.InteropServices;
using Xlstm.Cli.Output;

namespace Xlstm.Cli;

/// <summary>
/// Turns the first Ctrl+C (SIGINT) or SIGTERM into a cancelled token, so that a command can end in order: stop its text,
/// print its timing line. A second one is left to the system, which ends the process at once.
/// </summary>
internal sealed class Interrupt : IDisposable
{
    private static Action? _diverted;

    // A step of a large model takes seconds, in which it would look as if nobody had heard.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration _interrupt;
    private readonly PosixSignalRegistration _terminate;
    private readonly Timer _patience = new(_ => Console.Error.WriteLine("\nstopping after this step; Ctrl+C again ends at once"));
    private int _exitCode;

    public Interrupt()
    {
        _interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Handle(context, Cli.ExitCode.Interrupted));
        _terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Handle(context, Cli.ExitCode.Terminated));
    }

    public CancellationToken Token => _source.Token;

    /// <summary>The exit code that the signal asks for; null when none came.</summary>
    public int? ExitCode => Volatile.Read(ref _exitCode) is var code and not 0 ? code : null;

    /// <summary>Has Ctrl+C do something else than end the command, until the result is disposed. SIGTERM still ends it.</summary>
    public static IDisposable Divert(Action action)
    {
        Volatile.Write(ref _diverted, action);
        return new Diversion();
    }

    private void Handle(PosixSignalContext context, int exitCode)
    {
        if (exitCode == Cli.ExitCode.Interrupted && Volatile.Read(ref _diverted) is { } action)
        {
            context.Cancel = true;
            action();
            return;
        }

        if (Interlocked.CompareExchange(ref _exitCode, exitCode, 0) != 0)
        {
            return;
        }

        context.Cancel = true;
        _source.Cancel();
        if (Terminal.ErrorIsTerminal)
        {
            _patience.Change(Patience, Timeout.InfiniteTimeSpan);
        }
    }

    public void Dispose()
    {
        _interrupt.Dispose();
        _terminate.Dispose();
        _patience.Dispose();
        _source.Dispose();
    }

    private sealed class Diversion : IDisposable
    {
        public void Dispose() => Volatile.Write(ref _diverted, null);
    }
}
