using System.Runtime.InteropServices;

namespace Xlstm.Sessions;

/// <summary>Consecutive forward passes of the same length.</summary>
/// <param name="Start">Position of the first token.</param>
/// <param name="Length">Tokens of one pass, at least 1.</param>
/// <param name="Count">Number of passes, at least 1.</param>
internal record struct SegmentRun(int Start, int Length, int Count)
{
    /// <summary>Position after the last token.</summary>
    public readonly int End => Start + (Length * Count);
}

/// <summary>
/// Where the forward passes that read a timeline were cut. A backend whose sums depend on how many tokens it gets at once
/// repeats a stretch bit for bit only when it is cut as it was. Positions past what has been fed are a plan for a replay.
/// </summary>
internal sealed class SegmentLog
{
    private readonly List<SegmentRun> _runs;

    public SegmentLog() => _runs = [];

    /// <param name="runs">Runs that follow each other, from position 0.</param>
    public SegmentLog(IEnumerable<SegmentRun> runs) => _runs = [.. runs];

    /// <summary>The runs, from position 0.</summary>
    public IReadOnlyList<SegmentRun> Runs => _runs;

    /// <summary>Tokens that the log covers.</summary>
    public int Length => _runs.Count == 0 ? 0 : _runs[^1].End;

    /// <summary>Notes a pass behind the last.</summary>
    public void Add(int length)
    {
        if (_runs.Count > 0 && _runs[^1].Length == length)
        {
            CollectionsMarshal.AsSpan(_runs)[^1].Count++;
        }
        else
        {
            _runs.Add(new SegmentRun(Length, length, 1));
        }
    }

    /// <summary>Forgets what lies behind a position; a pass that it falls into is cut there.</summary>
    public void Truncate(int position)
    {
        while (Length > position)
        {
            SegmentRun last = _runs[^1];
            _runs.RemoveAt(_runs.Count - 1);
            int within = position - last.Start;
            if (within > 0)
            {
                (int whole, int rest) = Math.DivRem(within, last.Length);
                if (whole > 0)
                {
                    _runs.Add(last with { Count = whole });
                }

                if (rest > 0)
                {
                    Add(rest);
                }
            }
        }
    }

    /// <summary>The end of the pass that the token at a position belongs to.</summary>
    /// <param name="position">In [0, <see cref="Length"/>).</param>
    public int EndAfter(int position)
    {
        // Replays start near the end of a log far more often than near its start.
        int index = _runs.Count - 1;
        while (_runs[index].Start > position)
        {
            index--;
        }

        SegmentRun run = _runs[index];
        return run.Start + ((((position - run.Start) / run.Length) + 1) * run.Length);
    }

    /// <summary>Whether a pass ended at a position.</summary>
    /// <param name="position">In [0, <see cref="Length"/>].</param>
    public bool IsEnd(int position) => position == 0 || EndAfter(position - 1) == position;
}
