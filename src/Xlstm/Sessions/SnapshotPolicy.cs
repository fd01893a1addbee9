namespace Xlstm;

/// <summary>Which states of its past a session keeps by itself, so that <see cref="Session.Rewind"/> and <see cref="Session.SyncTo"/> need not read it again from the start.</summary>
public sealed record SnapshotPolicy
{
    /// <summary>Keep none: constant memory, and going back means reading again from the start or from a restored snapshot.</summary>
    public static SnapshotPolicy None { get; } = new() { ByteBudget = 0 };

    /// <summary>
    /// Most bytes of states kept. When they are exceeded, the past is thinned out: the kept states stay dense near the
    /// present and get sparser with age, so that going back n tokens replays a bounded share of n.
    /// </summary>
    public long ByteBudget { get; init; } = 1L << 30;

    /// <summary>Tokens between two states kept on the schedule; 0 keeps only those that <see cref="Session.Mark"/> asks for. A state is kept at the end of the forward pass that reaches the mark.</summary>
    public int Interval { get; init; } = 512;

    internal void Validate()
    {
        if (ByteBudget < 0)
        {
            throw new XlstmException($"the byte budget of snapshots must not be negative, found {ByteBudget}");
        }

        if (Interval < 0)
        {
            throw new XlstmException($"the interval of snapshots must not be negative, found {Interval}");
        }
    }
}
