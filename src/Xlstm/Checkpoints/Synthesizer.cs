using System.Globalization;
using System.Text.Json;

namespace Xlstm.Checkpoints;

/// <summary>
/// Makes random checkpoints of any config, with the values training starts from: to measure speed and memory without the real weights.
/// </summary>
public static class Synthesizer
{
    private const int ChunkElements = 1 << 20;

    /// <summary>A checkpoint whose weights are computed as they are read: nothing on disk, nothing in memory.</summary>
    /// <param name="config">Any config.</param>
    /// <param name="options">Dtype and seed; it has one shard whatever the options say.</param>
    /// <exception cref="CheckpointException">The config is not sound.</exception>
    public static Checkpoint Open(XlstmConfig config, SynthesisOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        options ??= new SynthesisOptions();
        ConfigLimits.Check(config, "config");
        var init = new WeightInit(config, options.Seed);
        var map = new TensorMap();
        foreach (StoredTensor tensor in Tensors(config))
        {
            map.Add(tensor, shardIndex: 0, options.Type, new SyntheticTensorSource(init, tensor, options.Type));
        }

        using var document = JsonDocument.Parse(ConfigWriter.Write(config, options.Type));
        var raw = document.RootElement.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.Clone(), StringComparer.Ordinal);
        return new Checkpoint("(synthetic)", config, raw, map, [new CheckpointShard("(synthetic)", config.ParameterCount * SafetensorsDtype.SizeOf(options.Type))], [], []);
    }

    /// <summary>Writes a checkpoint: config.json, safetensors files and, when they are several, their index.</summary>
    /// <param name="folder">Where to; must not exist or be empty. It appears when everything is written; a failure leaves nothing behind.</param>
    /// <param name="config">Any config.</param>
    /// <param name="options">Dtype, number of shards, seed.</param>
    /// <param name="progress">Told about bytes and shards as they are written.</param>
    /// <param name="cancellationToken">Ends the synthesis.</param>
    /// <exception cref="CheckpointException">The config is not sound.</exception>
    /// <exception cref="XlstmException">The folder is not empty, the disk has too little space, or a file cannot be written.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static void Write(
        string folder, XlstmConfig config, SynthesisOptions? options = null, IProgress<SynthesisProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentNullException.ThrowIfNull(config);
        options ??= new SynthesisOptions();
        ConfigLimits.Check(config, "config");
        StoredTensor[][] shards = Partition([.. Tensors(config)], options.Shards);
        long bytes = config.ParameterCount * SafetensorsDtype.SizeOf(options.Type);

        using var target = NewFolder.Create(folder, bytes);
        var meter = new ProgressMeter(progress, shards.Length, bytes);
        var init = new WeightInit(config, options.Seed);
        string[] names = [.. Enumerable.Range(0, shards.Length).Select(shard => ShardName(shard, shards.Length))];
        for (int shard = 0; shard < shards.Length; shard++)
        {
            WriteShard(Path.Combine(target.TemporaryPath, names[shard]), shards[shard], init, options.Type, meter, cancellationToken);
            meter.ShardDone();
        }

        if (shards.Length > 1)
        {
            target.WriteFile(ShardIndex.FileName, ShardIndex.Write(bytes, shards.SelectMany((tensors, shard) => tensors.Select(tensor => (tensor.Name, names[shard])))));
        }

        target.WriteFile("config.json", ConfigWriter.Write(config, options.Type));
        target.Complete();
    }

    private static IEnumerable<StoredTensor> Tensors(XlstmConfig config) => TensorLayout.Enumerate(config, TensorNames.HuggingFace, withLmHead: !config.TieWordEmbeddings);

    private static string ShardName(int shard, int shards) =>
        shards == 1 ? CheckpointFiles.SingleFile : string.Create(CultureInfo.InvariantCulture, $"model-{shard + 1:d5}-of-{shards:d5}.safetensors");

    /// <summary>Consecutive tensors to each shard, about the same number of bytes each, none empty.</summary>
    private static StoredTensor[][] Partition(StoredTensor[] tensors, int shards)
    {
        int most = Math.Min(tensors.Length, CheckpointFiles.MaxShards);
        if (shards < 1 || shards > most)
        {
            throw new XlstmException($"shards is {shards}, expected 1 to {most} for this model");
        }

        var parts = new StoredTensor[shards][];
        long left = tensors.Sum(tensor => tensor.Elements);
        int next = 0;
        for (int shard = 0; shard < shards; shard++)
        {
            int start = next;
            int lastPossible = tensors.Length - (shards - shard - 1);
            long goal = left / (shards - shard);
            long filled = 0;
            while (next < lastPossible && (next == start || shard == shards - 1 || filled + (tensors[next].Elements / 2) <= goal))
            {
                filled += tensors[next++].Elements;
            }

            left -= filled;
            parts[shard] = tensors[start..next];
        }

        return parts;
    }

    private static void WriteShard(string path, StoredTensor[] tensors, WeightInit init, ElementType type, ProgressMeter meter, CancellationToken cancellationToken)
    {
        using var writer = SafetensorsWriter.Create(
            path,
            [.. tensors.Select(tensor => new SafetensorsTensorSpec(tensor.Name, type, tensor.Shape))],
            new Dictionary<string, string> { ["format"] = "pt" });
        int size = SafetensorsDtype.SizeOf(type);
        try
        {
            Parallel.ForEach(
                Chunks(tensors),
                new ParallelOptions { CancellationToken = cancellationToken, MaxDegreeOfParallelism = Environment.ProcessorCount },
                () => (Values: new float[ChunkElements], Bytes: new byte[ChunkElements * size]),
                (chunk, _, buffers) =>
                {
                    Span<float> values = buffers.Values.AsSpan(0, chunk.Count);
                    Span<byte> bytes = buffers.Bytes.AsSpan(0, chunk.Count * size);
                    init.Fill(tensors[chunk.Tensor], chunk.First, values);
                    ElementConversion.FromFloat32(values, type, bytes);
                    writer.WriteAt(chunk.Tensor, chunk.First * size, bytes);
                    meter.BytesDone(bytes.Length);
                    return buffers;
                },
                _ => { });
        }
        catch (AggregateException e) when (e.InnerException is XlstmException fault)
        {
            throw new XlstmException(fault.Message, fault);
        }

        writer.Complete();
    }

    private static IEnumerable<(int Tensor, long First, int Count)> Chunks(StoredTensor[] tensors)
    {
        for (int tensor = 0; tensor < tensors.Length; tensor++)
        {
            for (long first = 0; first < tensors[tensor].Elements; first += ChunkElements)
            {
                yield return (tensor, first, (int)Math.Min(ChunkElements, tensors[tensor].Elements - first));
            }
        }
    }

    private sealed class ProgressMeter(IProgress<SynthesisProgress>? progress, int shards, long bytes)
    {
        private readonly Lock _lock = new();
        private SynthesisProgress _now = new(0, shards, 0, bytes);

        public void BytesDone(int count) => Report(now => now with { BytesDone = now.BytesDone + count });

        public void ShardDone() => Report(now => now with { ShardsDone = now.ShardsDone + 1 });

        private void Report(Func<SynthesisProgress, SynthesisProgress> step)
        {
            lock (_lock)
            {
                _now = step(_now);
                progress?.Report(_now);
            }
        }
    }

    private sealed class SyntheticTensorSource(WeightInit init, StoredTensor tensor, ElementType type) : ITensorSource
    {
        private const int BufferElements = 4096;

        public void Read(long offset, Span<byte> destination)
        {
            int size = SafetensorsDtype.SizeOf(type);
            Span<float> buffer = stackalloc float[BufferElements];
            for (long first = offset / size; !destination.IsEmpty;)
            {
                int count = Math.Min(BufferElements, destination.Length / size);
                init.Fill(tensor, first, buffer[..count]);
                ElementConversion.FromFloat32(buffer[..count], type, destination);
                destination = destination[(count * size)..];
                first += count;
            }
        }
    }
}
