namespace Xlstm.Sessions;

/// <summary>A place on a timeline to go back to: the state after its first <paramref name="Position"/> tokens and the logits of the last.</summary>
/// <param name="Position">Tokens the state holds, at least 1.</param>
/// <param name="State">One hold on the state, released by <see cref="Release"/>.</param>
/// <param name="Logits">float32 [V], never written again.</param>
internal sealed record StateMark(int Position, SharedState State, float[] Logits)
{
    /// <summary>Bytes that the mark holds, though others may hold the same state.</summary>
    public long ByteLength => State.State.ByteLength + (sizeof(float) * (long)Logits.Length);

    /// <summary>The same mark with a hold of its own.</summary>
    public StateMark Share() => this with { State = State.Share() };

    /// <summary>Gives the hold up.</summary>
    public void Release() => State.Release();
}
