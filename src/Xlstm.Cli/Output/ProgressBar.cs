using System.Diagnostics;

namespace Xlstm.Cli.Output;

/// <summary>
/// A <see cref="ProgressLine"/> on stderr, redrawn in place on a terminal. Elsewhere (a log, a pipe) only its final line is
/// written, if it is to stay.
/// </summary>
/// <param name="description">What is going on.</param>
/// <param name="unit">Name of a unit.</param>
/// <param name="delay">Nothing is drawn before this time has passed: what is quick needs no bar.</param>
/// <param name="keep">The finished bar stays; otherwise it is wiped off.</param>
internal sealed class ProgressBar(string description, string unit, TimeSpan delay, bool keep) : IDisposable
{
    // A full line wraps on some terminals, and one with "^C" after it on all.
    private const int Margin = 3;
    private static readonly TimeSpan Refresh = TimeSpan.FromMilliseconds(100);

    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private TimeSpan _next = delay;
    private (double Fraction, long Done, long Total) _last;
    private bool _drawn;

    public void Report(double fraction, long done, long total)
    {
        _last = (fraction, done, total);
        if (!Terminal.ErrorIsTerminal || _clock.Elapsed < _next)
        {
            return;
        }

        Draw(fraction, done, total);
        _next = _clock.Elapsed + Refresh;
    }

    /// <summary>Draws the end of it, or wipes it off.</summary>
    public void Finish()
    {
        if (keep && _last.Total > 0)
        {
            if (Terminal.ErrorIsTerminal)
            {
                Draw(_last.Fraction, _last.Done, _last.Total);
                Console.Error.WriteLine();
            }
            else
            {
                Console.Error.WriteLine(ProgressLine.Format(description, _last.Fraction, _last.Done, _last.Total, _clock.Elapsed, unit, width: null));
            }
            _drawn = false;
        }
        else
        {
            Wipe();
        }
    }

    private void Draw(double fraction, long done, long total)
    {
        Console.Error.Write('\r' + ProgressLine.Format(description, fraction, done, total, _clock.Elapsed, unit, Terminal.Width - Margin));
        _drawn = true;
    }

    private void Wipe()
    {
        if (_drawn)
        {
            Console.Error.Write('\r' + new string(' ', Terminal.Width - Margin) + '\r');
        }

        _drawn = false;
    }

    /// <summary>After an error or an interruption: leaves a drawn bar as it is and goes to a fresh line.</summary>
    public void Dispose()
    {
        if (_drawn)
        {
            Console.Error.WriteLine();
        }

        _drawn = false;
    }
}
