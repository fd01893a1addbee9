using Xlstm.Sessions;

namespace Xlstm;

/// <summary>
/// Remembers the states after prompts that have been read, so that a session whose tokens start alike (a system prompt,
/// examples, a long document) goes on from there instead of reading them again. A radix tree over token ids holds the states,
/// inside a budget of memory and, if wanted, one of a folder on disk. Thread-safe; its sessions are each used by one thread.
/// </summary>
public sealed class PrefixCache : IDisposable
{
    // Each holds a state in memory that the budget does not count.
    private const int MostPendingWrites = 4;

    private readonly Lock _lock = new();
    private readonly PrefixCacheOptions _options;
    private readonly PrefixCacheFolder? _folder;
    private readonly PrefixTree _tree = new();
    private readonly RecencyList _inMemory = new();
    private readonly RecencyList _onDisk = new();
    private PrefixCacheStatistics _counts = new();
    private long _markBytes;
    private long _fileBytes;
    private Task _writes = Task.CompletedTask;
    private int _pendingWrites;
    private bool _disposed;

    /// <param name="model">The model of its sessions; must outlive the cache.</param>
    /// <param name="options">What to keep; null takes the defaults.</param>
    /// <exception cref="XlstmException">An option is out of its range, or the folder cannot be made.</exception>
    public PrefixCache(XlstmModel model, PrefixCacheOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        Model = model;
        _options = options ?? new PrefixCacheOptions();
        _options.Validate();
        if (_options.Folder is not null)
        {
            _folder = new PrefixCacheFolder(model, _options.Folder);
            foreach ((CachedFile file, int[] tokens) in _folder.Enumerate())
            {
                SetFile(_tree.Insert(tokens), file);
            }
        }
    }

    /// <summary>The model of its sessions.</summary>
    public XlstmModel Model { get; }

    /// <summary>What it has done and holds, at this moment.</summary>
    public PrefixCacheStatistics Statistics
    {
        get
        {
            lock (_lock)
            {
                return _counts with { States = _inMemory.Count, ByteLength = _markBytes + TreeBytes, Files = _onDisk.Count, FileBytes = _fileBytes };
            }
        }
    }

    private long TreeBytes => sizeof(int) * _tree.TokenCount;

    /// <summary>A new, empty session whose appends go by way of this cache, as do those of its forks.</summary>
    /// <param name="snapshots">Which states of its past it keeps; null keeps none.</param>
    /// <exception cref="XlstmException">The policy is out of its range, or the machine has not the memory for another state.</exception>
    public Session CreateSession(SnapshotPolicy? snapshots = null)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        snapshots?.Validate();
        return new Session(Model, snapshots, this);
    }

    /// <summary>Forgets everything in memory; files stay.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            while (_inMemory.Oldest is { } node)
            {
                DropMark(node);
            }
        }
    }

    /// <summary>Waits until all files are written.</summary>
    public Task FlushAsync()
    {
        lock (_lock)
        {
            return _writes;
        }
    }

    /// <summary>Writes what is to be written and gives all states up; sessions go on without the cache.</summary>
    public void Dispose()
    {
        FlushAsync().GetAwaiter().GetResult();
        lock (_lock)
        {
            _disposed = true;
        }

        Clear();
    }

    /// <summary>Moves a session to the deepest node that its tokens lead to.</summary>
    /// <returns>Tokens it need not read; 0 if there is no node deeper than where it stands.</returns>
    internal int Skip(Session session)
    {
        int start = session.FedCount;
        StateMark? mark = FindMark(session.TokenSpan, start);
        if (mark is null)
        {
            return 0;
        }

        session.SkipTo(mark);
        mark.Release();
        return session.FedCount - start;
    }

    /// <summary>Where a session that reads on should hand its state in: on the schedule, where its tokens leave those of others, and at the end.</summary>
    internal IReadOnlyList<CacheStop> StopsOf(Session session)
    {
        ReadOnlySpan<int> tokens = session.TokenSpan;
        int matched;
        lock (_lock)
        {
            matched = _tree.Find(tokens).Matched;
        }

        var stops = new SortedDictionary<int, bool>();
        int last = (tokens.Length - 1) / _options.Interval;
        for (int i = (session.FedCount / _options.Interval) + 1; i <= last; i++)
        {
            // What follows a long document is mostly shorter than an interval: on disk its last two stand for all.
            stops[i * _options.Interval] = i >= last - 1;
        }

        if (matched > session.FedCount && matched >= _options.MinimumTokens)
        {
            stops[matched] = true;
        }

        stops[tokens.Length] = true;
        return [.. stops.Select(stop => new CacheStop(stop.Key, stop.Value))];
    }

    /// <summary>Keeps the state of a session after the tokens it has fed.</summary>
    /// <param name="session">A session of this cache.</param>
    /// <param name="onDisk">Whether it goes into the folder too, if there is one.</param>
    internal void Store(Session session, bool onDisk)
    {
        int length = session.FedCount;
        if (length < _options.MinimumTokens)
        {
            return;
        }

        Task? backlog = null;
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            PrefixNode node = _tree.Insert(session.TokenSpan[..length]);
            StateMark mark = node.Mark ?? session.MarkHere();
            if (onDisk && _folder is not null && node.File is null)
            {
                _pendingWrites++;
                int[] tokens = session.TokenSpan[..length].ToArray();
                StateMark held = mark.Share();
                _writes = _writes.ContinueWith(_ => WriteFile(tokens, held), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
                backlog = _pendingWrites > MostPendingWrites ? _writes : null;
            }

            SetMark(node, mark);
        }

        backlog?.GetAwaiter().GetResult();
    }

    /// <returns>The state of the deepest node on the way, its hold the caller's; null if none is deeper than <paramref name="start"/>.</returns>
    private StateMark? FindMark(ReadOnlySpan<int> tokens, int start)
    {
        while (true)
        {
            PrefixNode? node;
            CachedFile? file;
            lock (_lock)
            {
                node = _tree.Find(tokens).Deepest;
                if (_disposed || node is null || node.Depth <= start)
                {
                    _counts = _counts with { Misses = _counts.Misses + 1 };
                    return null;
                }

                if (node.Mark is { } mark)
                {
                    _inMemory.Touch(node);
                    return Hit(mark, start);
                }

                file = node.File!;
            }

            // Outside the lock: other sessions need not wait for the disk.
            StateMark? read = _folder!.Read(file, tokens[..node.Depth]);
            lock (_lock)
            {
                if (read is null)
                {
                    if (node.File == file)
                    {
                        DropFile(node);
                    }

                    continue;
                }

                StateMark hit = Hit(read, start);
                PrefixNode target = _tree.Insert(tokens[..read.Position]);
                if (target.File is not null)
                {
                    _onDisk.Touch(target);
                }

                SetMark(target, read);
                return hit;
            }
        }
    }

    private StateMark Hit(StateMark mark, int start)
    {
        _counts = _counts with { Hits = _counts.Hits + 1, TokensSaved = _counts.TokensSaved + mark.Position - start };
        return mark.Share();
    }

    /// <summary>Gives a node a state in memory, whose hold passes to it, and makes room.</summary>
    private void SetMark(PrefixNode node, StateMark mark)
    {
        if (node.Mark is null)
        {
            node.Mark = mark;
            _markBytes += mark.ByteLength;
        }
        else if (node.Mark != mark)
        {
            mark.Release();
        }

        _inMemory.Touch(node);
        while (_markBytes + TreeBytes > _options.ByteBudget && _inMemory.Oldest is { } oldest)
        {
            DropMark(oldest);
            _counts = _counts with { Evictions = _counts.Evictions + 1 };
        }
    }

    private void DropMark(PrefixNode node)
    {
        _inMemory.Remove(node);
        _markBytes -= node.Mark!.ByteLength;
        node.Mark.Release();
        node.Mark = null;
        _tree.Prune(node);
    }

    private void WriteFile(int[] tokens, StateMark mark)
    {
        CachedFile? file = null;
        string? error = null;
        try
        {
            file = _folder!.Write(tokens, mark);
        }
        catch (XlstmException e)
        {
            error = e.Message;
        }

        mark.Release();
        lock (_lock)
        {
            _pendingWrites--;
            if (file is null)
            {
                _counts = _counts with { LastWriteError = error };
            }
            else
            {
                SetFile(_tree.Insert(tokens), file);
            }
        }
    }

    private void SetFile(PrefixNode node, CachedFile file)
    {
        _fileBytes += file.ByteLength - (node.File?.ByteLength ?? 0);
        node.File = file;
        _onDisk.Touch(node);
        while (_fileBytes > _options.FolderByteBudget && _onDisk.Oldest is { } oldest)
        {
            CachedFile dropped = oldest.File!;
            DropFile(oldest);
            PrefixCacheFolder.Delete(dropped);
        }
    }

    private void DropFile(PrefixNode node)
    {
        _onDisk.Remove(node);
        _fileBytes -= node.File!.ByteLength;
        node.File = null;
        _tree.Prune(node);
    }
}
