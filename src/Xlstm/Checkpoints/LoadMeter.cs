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
    /// <param name="sources">Every tensor that will be read, as often as it will be.</param>
    /// <param name="progress">Told at once, and after every <see cref="Add"/>.</param>
    public LoadMeter(int shards, IEnumerable<CheckpointTensor> sources, IProgress<LoadProgress>? progress)
    {
        _progress = progress;
        _shardBytesLeft = new long[shards];
        foreach (CheckpointTensor source in sources)
        {
            long bytes = (long)source.Rows * source.Cols * source.ElementSize;
            _shardBytesLeft[source.ShardIndex] += bytes;
            _bytes += bytes;
        }

        _shardsDone = _shardBytesLeft.Count(left => left == 0);
        Report();
    }

    /// <summary>Counts rows that have been read. Thread-safe.</summary>
    public void Add(CheckpointTensor source, int rows)
    {
        long bytes = (long)rows * source.Cols * source.ElementSize;
        lock (_lock)
        {
            _bytesDone += bytes;
            _shardBytesLeft[source.ShardIndex] -= bytes;
            if (bytes > 0 && _shardBytesLeft[source.ShardIndex] == 0)
            {
                _shardsDone++;
            }

            Report();
        }
    }

    private void Report() => _progress?.Report(new LoadProgress(_shardsDone, _shardBytesLeft.Length, _bytesDone, _bytes));
}
