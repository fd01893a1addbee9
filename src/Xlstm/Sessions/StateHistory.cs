namespace Xlstm.Sessions;

/// <summary>The marks a session keeps of its own past, in order of position, inside the budget of a <see cref="SnapshotPolicy"/>.</summary>
/// <param name="policy">What to keep.</param>
internal sealed class StateHistory(SnapshotPolicy policy)
{
    private readonly List<StateMark> _marks = [];

    /// <summary>What to keep.</summary>
    public SnapshotPolicy Policy { get; } = policy;

    /// <summary>Positions kept, ascending.</summary>
    public IEnumerable<int> Positions => _marks.Select(mark => mark.Position);

    /// <summary>Bytes of all marks.</summary>
    public long ByteLength { get; private set; }

    /// <summary>Whether the schedule wants a mark here.</summary>
    public bool IsDue(int position) => Policy.Interval > 0 && Policy.ByteBudget > 0 && position - (_marks.Count == 0 ? 0 : _marks[^1].Position) >= Policy.Interval;

    /// <summary>Keeps a mark that lies behind all others, unless there is one at its position, and thins out what exceeds the budget.</summary>
    /// <param name="mark">The mark; its hold passes to the history.</param>
    public void Add(StateMark mark)
    {
        if (_marks.Count > 0 && _marks[^1].Position >= mark.Position)
        {
            mark.Release();
            return;
        }

        _marks.Add(mark);
        ByteLength += mark.ByteLength;
        while (ByteLength > Policy.ByteBudget)
        {
            RemoveAt(LeastMissed());
        }
    }

    /// <summary>The last mark at or before a position; still the history's.</summary>
    public StateMark? LastUpTo(int position)
    {
        int index = _marks.Count - 1;
        while (index >= 0 && _marks[index].Position > position)
        {
            index--;
        }

        return index < 0 ? null : _marks[index];
    }

    /// <summary>Forgets all marks behind a position.</summary>
    public void Truncate(int position)
    {
        while (_marks.Count > 0 && _marks[^1].Position > position)
        {
            RemoveAt(_marks.Count - 1);
        }
    }

    /// <summary>A history that holds the same marks.</summary>
    public StateHistory Fork()
    {
        var fork = new StateHistory(Policy) { ByteLength = ByteLength };
        fork._marks.AddRange(_marks.Select(mark => mark.Share()));
        return fork;
    }

    /// <summary>
    /// The mark whose loss leaves the smallest gap in proportion to its age. Removing it again and again leaves gaps that grow
    /// with age by a constant factor, as many as the budget allows. The newest goes only when it is the only one.
    /// </summary>
    private int LeastMissed()
    {
        int now = _marks[^1].Position;
        int best = 0;
        double smallest = double.PositiveInfinity;
        for (int i = 0; i < _marks.Count - 1; i++)
        {
            int before = i == 0 ? 0 : _marks[i - 1].Position;
            double loss = (double)(_marks[i + 1].Position - before) / (now - before);
            if (loss < smallest)
            {
                (best, smallest) = (i, loss);
            }
        }

        return best;
    }

    private void RemoveAt(int index)
    {
        StateMark mark = _marks[index];
        _marks.RemoveAt(index);
        ByteLength -= mark.ByteLength;
        mark.Release();
    }
}
