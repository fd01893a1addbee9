using System.Text.Json;
using Xlstm.Checkpoints.Packed;
using Xlstm.Memory;

namespace Xlstm.Checkpoints;

/// <summary>
/// A model on disk: config.json and safetensors files, opened and checked against each other. The weights stay in the files until
/// <see cref="CheckpointTensor.ReadRows"/> asks for them; reads are thread-safe.
/// </summary>
public sealed class Checkpoint : IDisposable
{
    private readonly IReadOnlyList<IDisposable> _resources;

    internal Checkpoint(
        string folder,
        XlstmConfig config,
        IReadOnlyDictionary<string, JsonElement> rawConfig,
        TensorMap tensors,
        IReadOnlyList<CheckpointShard> shards,
        IReadOnlyList<string> warnings,
        IReadOnlyList<IDisposable> resources)
    {
        Folder = folder;
        Tensors = tensors;
        Config = config;
        RawConfig = rawConfig;
        Shards = shards;
        Warnings = warnings;
        _resources = resources;
        Embeddings = tensors.Get(TensorMap.NoBlock, TensorRole.Embeddings, isBias: false);
        Blocks = Enumerable.Range(0, config.NumBlocks).Select(block => new BlockTensors(tensors, block)).ToArray();
        OutNorm = tensors.Find(TensorMap.NoBlock, TensorRole.OutNorm, isBias: false);
        OutNormBias = tensors.Find(TensorMap.NoBlock, TensorRole.OutNorm, isBias: true);
        LmHead = config.TieWordEmbeddings ? null : tensors.Find(TensorMap.NoBlock, TensorRole.LmHead, isBias: false);
    }

    /// <summary>The checkpoint's folder.</summary>
    public string Folder { get; }

    /// <summary>The model's sizes and constants, in agreement with the tensors.</summary>
    public XlstmConfig Config { get; }

    /// <summary>Every key of config.json as it stands there, those that are not obeyed too.</summary>
    public IReadOnlyDictionary<string, JsonElement> RawConfig { get; }

    /// <summary>The safetensors files in order.</summary>
    public IReadOnlyList<CheckpointShard> Shards { get; }

    /// <summary>Things a user should know about the checkpoint, one line each.</summary>
    public IReadOnlyList<string> Warnings { get; }

    /// <summary>The embedding [V, D].</summary>
    public CheckpointTensor Embeddings { get; }

    /// <summary>The blocks, first to last.</summary>
    public IReadOnlyList<BlockTensors> Blocks { get; }

    /// <summary>Weight of the RMSNorm after the last block [1, D]; null without <see cref="XlstmConfig.AddOutNorm"/>.</summary>
    public CheckpointTensor? OutNorm { get; }

    /// <summary>Bias of <see cref="OutNorm"/> [1, D]; null without <see cref="XlstmConfig.UseBias"/>.</summary>
    public CheckpointTensor? OutNormBias { get; }

    /// <summary>The output matrix [V, D]; null when it is the embedding's.</summary>
    public CheckpointTensor? LmHead { get; }

    /// <summary>How the weights of a packed folder are held; null for a checkpoint as its makers published it.</summary>
    public WeightFormat? PackedFormat => Packed?.Layout.Recipe.Format;

    /// <summary>The packed weights of a packed folder.</summary>
    internal PackedFile? Packed { get; private init; }

    /// <summary>The tensors by role.</summary>
    internal TensorMap Tensors { get; }

    /// <summary>Opens a checkpoint and checks config, headers, names and shapes. Weights are not read, but for a tied lm_head that is stored nevertheless.</summary>
    /// <param name="folder">A folder with config.json and the model in any of the layouts of docs/checkpoints.md, or a packed folder.</param>
    /// <exception cref="CheckpointException">Something is missing, damaged or contradictory; the message names it.</exception>
    public static Checkpoint Open(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        if (!Directory.Exists(folder))
        {
            throw new CheckpointException(File.Exists(folder) ? $"{folder}: is a file, expected a checkpoint's folder" : $"{folder}: no such folder");
        }

        (XlstmConfig config, IReadOnlyDictionary<string, JsonElement> raw) = ConfigReader.Read(Path.Combine(folder, "config.json"));
        if (PackedFile.Exists(folder))
        {
            return OpenPacked(folder, config, raw);
        }

        CheckpointFiles found = CheckpointFiles.Find(folder);
        var files = new List<SafetensorsFile>(found.Names.Count);
        try
        {
            foreach (string name in found.Names)
            {
                files.Add(SafetensorsFile.Open(Path.Combine(folder, name)));
            }

            var stored = Merge(files);
            if (found.WeightMap is { } map)
            {
                CheckIndex(Path.Combine(folder, ShardIndex.FileName), map, stored);
            }

            (config, TensorMap tensors, IReadOnlyList<string> warnings) = TensorBinder.Bind(folder, config, stored);
            (config, string? untied) = ResolveTie(config, tensors);
            string[] allWarnings = [.. found.Warnings, .. warnings, .. untied is null ? Array.Empty<string>() : [untied]];
            CheckpointShard[] shards = files.Select(file => new CheckpointShard(Path.GetFileName(file.FilePath), file.DataLength)).ToArray();
            return new Checkpoint(folder, config, raw, tensors, shards, allWarnings, files);
        }
        catch
        {
            files.ForEach(file => file.Dispose());
            throw;
        }
    }

    /// <summary>Closes the files.</summary>
    public void Dispose()
    {
        foreach (IDisposable resource in _resources)
        {
            resource.Dispose();
        }
    }

    /// <summary>
    /// A tied checkpoint may store lm_head all the same. If it is the embedding once more, it is not needed; if it is not, the
    /// tensors are right and config.json is not.
    /// </summary>
    private static (XlstmConfig Config, string? Warning) ResolveTie(XlstmConfig config, TensorMap tensors)
    {
        if (!config.TieWordEmbeddings
            || tensors.Find(TensorMap.NoBlock, TensorRole.LmHead, isBias: false) is not { } lmHead
            || lmHead.HasSameContent(tensors.Get(TensorMap.NoBlock, TensorRole.Embeddings, isBias: false)))
        {
            return (config, null);
        }

        return (
            config with { TieWordEmbeddings = false },
            $"config.json says tie_word_embeddings, but {TensorNames.LmHead} is there and differs from the embedding: the tensors are right");
    }

    private static Checkpoint OpenPacked(string folder, XlstmConfig config, IReadOnlyDictionary<string, JsonElement> raw)
    {
        PackedFile packed = PackedFile.Open(folder, config);
        MappedMemory memory = packed.Map();
        var shard = new CheckpointShard(PackedFile.FileName, packed.Layout.ByteLength);
        return new Checkpoint(folder, config, raw, UnpackingSource.MapOf(packed.Layout, memory), [shard], [], [memory]) { Packed = packed };
    }

    private static Dictionary<string, (int Shard, SafetensorsFile File, SafetensorsTensor Tensor)> Merge(List<SafetensorsFile> files)
    {
        var stored = new Dictionary<string, (int Shard, SafetensorsFile File, SafetensorsTensor Tensor)>(StringComparer.Ordinal);
        for (int shard = 0; shard < files.Count; shard++)
        {
            foreach (SafetensorsTensor tensor in files[shard].Tensors.Values)
            {
                if (!stored.TryAdd(tensor.Name, (shard, files[shard], tensor)))
                {
                    throw new CheckpointException(
                        $"{files[shard].FilePath}: tensor {ErrorText.Quote(tensor.Name)} is in {Path.GetFileName(stored[tensor.Name].File.FilePath)} too");
                }
            }
        }

        return stored;
    }

    private static void CheckIndex(
        string path, IReadOnlyDictionary<string, string> map, Dictionary<string, (int Shard, SafetensorsFile File, SafetensorsTensor Tensor)> stored)
    {
        string[] faults =
        [
            .. map.Where(entry => !stored.TryGetValue(entry.Key, out var at) || Path.GetFileName(at.File.FilePath) != entry.Value)
                .Select(entry => $"tensor {ErrorText.Quote(entry.Key)} is not in {ErrorText.Clean(entry.Value)}"),
            .. stored.Keys.Where(name => !map.ContainsKey(name))
                .Select(name => $"tensor {ErrorText.Quote(name)} of {Path.GetFileName(stored[name].File.FilePath)} is not in the index"),
        ];
        if (faults.Length > 0)
        {
            throw new CheckpointException($"{path}: the index and the files disagree on {faults.Length} tensors: {ErrorText.FirstFive(faults)}");
        }
    }
}
