namespace Xlstm.Sessions;

/// <summary>A place in a prompt where its reader hands its state to the prefix cache.</summary>
/// <param name="Position">Tokens read by then.</param>
/// <param name="OnDisk">Whether the state goes into the cache's folder too.</param>
internal readonly record struct CacheStop(int Position, bool OnDisk);
