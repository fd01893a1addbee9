using System.CommandLine;
using Xlstm.Cli.Arguments;
using Xlstm.Cli.Output;

namespace Xlstm.Cli.Sessions;

/// <summary>The options that say where a run's session comes from and where it goes.</summary>
internal sealed class SessionArguments
{
    private readonly Option<string?> _session = new("--session") { HelpName = "FILE", Description = "Go on from a saved session; a prompt is added to it, without one it simply goes on" };
    private readonly Option<string?> _save = new("--save-session") { HelpName = "FILE", Description = "Save the session at the end, also when stopped by Ctrl+C" };
    private readonly Option<string?> _cacheFolder = new("--cache-dir") { HelpName = "DIR", Description = "Keep the states after prompts in a folder: prompts that start alike are not read again" };

    public void AddTo(Command command)
    {
        command.Add(_session);
        command.Add(_save);
        command.Add(_cacheFolder);
    }

    /// <summary>Whether the run goes on from a saved session.</summary>
    public bool Continues(ParseResult parsed) => parsed.GetValue(_session) is not null;

    /// <summary>Finds out before anything has cost time what cannot work.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="many">Whether there are many prompts.</param>
    /// <exception cref="UsageException">Two options exclude each other.</exception>
    /// <exception cref="XlstmException">There is no such session, or no folder to save it in.</exception>
    public void Check(ParseResult parsed, bool many)
    {
        string? session = parsed.GetValue(_session);
        string? save = parsed.GetValue(_save);
        string? cache = parsed.GetValue(_cacheFolder);
        if (many && (session ?? save ?? cache) is not null)
        {
            throw new UsageException("--session, --save-session and --cache-dir are for one prompt, not for --prompts");
        }

        if (session is not null && cache is not null)
        {
            throw new UsageException("give --session or --cache-dir: a saved session need not look for its start");
        }

        if (session is not null)
        {
            _ = SessionFile.ReadInfo(session);
        }

        if (save is not null && Path.GetDirectoryName(Path.GetFullPath(save)) is var folder && !Directory.Exists(folder))
        {
            throw new XlstmException($"{save}: there is no folder {folder} to save it in");
        }
    }

    /// <summary>The session to go on from, or an empty one.</summary>
    public async Task<OpenSession> OpenAsync(XlstmModel model, ParseResult parsed, CancellationToken cancellationToken)
    {
        if (parsed.GetValue(_session) is { } path)
        {
            WarnOfOtherFormats(path, model);
            return new OpenSession(await Session.LoadAsync(model, path, cancellationToken: cancellationToken).ConfigureAwait(false), null);
        }

        if (parsed.GetValue(_cacheFolder) is { } folder)
        {
            var cache = new PrefixCache(model, new PrefixCacheOptions { Folder = folder });
            return new OpenSession(cache.CreateSession(), cache);
        }

        return new OpenSession(model.CreateSession(), null);
    }

    /// <summary>Saves the session if the command line asks for it.</summary>
    /// <returns>A line for people, or null.</returns>
    public async Task<string?> SaveAsync(Session session, ParseResult parsed)
    {
        if (parsed.GetValue(_save) is not { } path)
        {
            return null;
        }

        await session.SaveAsync(path).ConfigureAwait(false);
        return Saved(path, session);
    }

    public static string Saved(string path, Session session) => $"Session of {session.Tokens.Count} tokens saved to {path} ({Quantity.Bytes(new FileInfo(path).Length)})";

    public static void WarnOfOtherFormats(string path, XlstmModel model)
    {
        var file = SessionFile.ReadInfo(path);
        if (file.Weights != model.Weights)
        {
            Warn("weights", file.Weights, model.Weights);
        }

        if (file.StateFormat != model.StateFormat)
        {
            Warn("a state", file.StateFormat, model.StateFormat);
        }

        void Warn<T>(string what, T was, T now)
            where T : struct, Enum =>
            Terminal.WriteWarning($"{path} was saved with {what} of {FormatNames<T>.Name(was)} and goes on with {FormatNames<T>.Name(now)}: the text may differ");
    }
}

/// <summary>A run's session and the cache it goes by, if any.</summary>
internal sealed record OpenSession(Session Session, PrefixCache? Cache) : IDisposable
{
    /// <summary>A line on what the cache did, for people; null without one.</summary>
    public string? CacheReport => Cache?.Statistics is not { } statistics ? null
        : $"Prefix cache: {statistics.TokensSaved} tokens need not be read; {statistics.Files} states on disk ({Quantity.Bytes(statistics.FileBytes)})";

    public void Dispose()
    {
        Session.Dispose();
        Cache?.Dispose();
        if (Cache?.Statistics.LastWriteError is { } error)
        {
            Terminal.WriteWarning(error);
        }
    }
}
