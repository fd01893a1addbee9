namespace Xlstm.Checkpoints;

/// <summary>Counts the bytes of tensors as threads read them, and tells a caller's progress.</summary>
internal sealed class LoadMeter
{
    private readonly IProgress<LoadProgress>? _progress;
    private readonly long[] _shardBytesLeft;
    private readonly long _bytes;
    private readonly Lock _lock = new();
    private long _bytesDone;
    private int _shardsDone;

    /// <param name="shards">Files of the checkpoint.</param>
    /// <param name="reads">The shard and the bytes of everything that will be read.</param>
    /// <param name="progress">Told at once, and after every <see cref="Add"/>.</param>
    public LoadMeter(int shards, IEnumerable<(int Shard, long Bytes)> reads, IProgress<LoadProgress>? progress)
    {
        _progress = progress;
        _shardBytesLeft = new long[shards];
        foreach ((int shard, long bytes) in reads)
        {
            _shardBytesLeft[shard] += bytes;
            _bytes += bytes;
        }

        _shardsDone = _shardBytesLeft.Count(left => left == 0);
        Report();
    }

    /// <summary>Counts what has been read. Thread-safe.</summary>
    public void Add(int shard, long bytes)
    {
        lock (_lock)
        {
            _bytesDone += bytes;
            _shardBytesLeft[shard] -= bytes;
            if (bytes > 0 && _shardBytesLeft[shard] == 0)
            {
                _shardsDone++;
            }

            Report();
        }
    }

    private void Report() => _progress?.Report(new LoadProgress(_shardsDone, _shardBytesLeft.Length, _bytesDone, _bytes));
}
