namespace Xlstm;

/// <summary>What <see cref="Session.SyncTo"/> did to bring a session to the wanted tokens. <paramref name="Reused"/> and <paramref name="Fed"/> add up to their number.</summary>
/// <param name="Common">Tokens at the start that the session had in common with the wanted ones.</param>
/// <param name="Removed">Tokens of the session behind those.</param>
/// <param name="Reused">Wanted tokens whose state was at hand, in the session, among its marks or in the prefix cache.</param>
/// <param name="Fed">Wanted tokens that forward passes had to read.</param>
public readonly record struct SyncReport(int Common, int Removed, int Reused, int Fed)
{
    /// <summary>Tokens that the session had read before and had to read again.</summary>
    public int Replayed => Math.Max(0, Common - Reused);
}
