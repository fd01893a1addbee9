namespace Xlstm.Checkpoints;

/// <summary>Finds every tensor that a config asks for among the stored ones, and says of all that do not fit what is wrong with them.</summary>
internal sealed class TensorBinder
{
    private readonly string _folder;
    private readonly IReadOnlyDictionary<string, (int Shard, SafetensorsFile File, SafetensorsTensor Tensor)> _stored;
    private readonly TensorNames _names;
    private readonly List<string> _warnings = [];

    private TensorBinder(string folder, IReadOnlyDictionary<string, (int Shard, SafetensorsFile File, SafetensorsTensor Tensor)> stored)
    {
        _folder = folder;
        _stored = stored;
        _names = TensorNames.Detect([.. stored.Keys]);
    }

    /// <summary>Binds the tensors of a checkpoint.</summary>
    /// <param name="folder">The checkpoint, for messages.</param>
    /// <param name="config">What config.json says.</param>
    /// <param name="stored">Every tensor of every shard by name.</param>
    /// <returns>The config as the tensors have it, the model's tensors, and what a user should know.</returns>
    /// <exception cref="CheckpointException">A tensor is missing, not expected, or of another shape or dtype than the config asks for.</exception>
    public static (XlstmConfig Config, TensorMap Tensors, IReadOnlyList<string> Warnings) Bind(
        string folder, XlstmConfig config, IReadOnlyDictionary<string, (int Shard, SafetensorsFile File, SafetensorsTensor Tensor)> stored)
    {
        var binder = new TensorBinder(folder, stored);
        config = binder.FollowTensors(config);
        TensorMap tensors = binder.Bind(config);
        return (config, tensors, binder._warnings);
    }

    private XlstmConfig FollowTensors(XlstmConfig config)
    {
        int blocks = _names.CountBlocks(_stored.Keys);
        if (blocks == 0)
        {
            throw new CheckpointException($"{_folder}: none of the {_stored.Count} tensors is called {_names.Block(0)}..., as an xLSTM's are");
        }

        if (blocks != config.NumBlocks)
        {
            throw new CheckpointException($"{_folder}: config.json says num_hidden_layers {config.NumBlocks}, but the tensors are of {blocks} blocks");
        }

        if (TensorNames.DetectWeightMode([.. _stored.Keys]) is { } mode && mode != config.WeightMode)
        {
            _warnings.Add($"config.json says weight_mode {Name(config.WeightMode)}, but the tensors are {Name(mode)}: the tensors are right");
            config = config with { WeightMode = mode };
        }

        return config;

        static string Name(WeightMode mode) => mode == WeightMode.Fused ? "fused" : "single";
    }

    private TensorMap Bind(XlstmConfig config)
    {
        var map = new TensorMap();
        var expected = new HashSet<string>(StringComparer.Ordinal);
        List<string> missing = [], misfits = [];
        bool withLmHead = !config.TieWordEmbeddings || _stored.ContainsKey(TensorNames.LmHead);
        foreach (StoredTensor wanted in TensorLayout.Enumerate(config, _names, withLmHead))
        {
            expected.Add(wanted.Name);
            if (!_stored.TryGetValue(wanted.Name, out var found))
            {
                missing.Add($"{ErrorText.Quote(wanted.Name)} is missing");
            }
            else if (Misfit(wanted, found.Tensor, found.File) is { } misfit)
            {
                misfits.Add(misfit);
            }
            else
            {
                map.Add(wanted, found.Shard, SafetensorsDtype.ToElementType(found.Tensor.Dtype)!.Value, new FileTensorSource(found.File, found.Tensor));
            }
        }

        string[] extra = _stored.Values.Where(s => !expected.Contains(s.Tensor.Name))
            .OrderBy(s => s.Tensor.Name, StringComparer.Ordinal)
            .Select(s => $"{ErrorText.Quote(s.Tensor.Name)} in {Path.GetFileName(s.File.FilePath)} is not part of the model").ToArray();
        string[] faults = [.. missing, .. misfits, .. extra];
        return faults.Length == 0
            ? map
            : throw new CheckpointException(
                $"{_folder}: {faults.Length} tensors do not fit config.json ({missing.Count} missing, {misfits.Count} of another shape or dtype, {extra.Length} not expected): {ErrorText.FirstFive(faults)}");
    }

    private static string? Misfit(StoredTensor wanted, SafetensorsTensor found, SafetensorsFile file)
    {
        string where = $"{ErrorText.Quote(found.Name)} in {Path.GetFileName(file.FilePath)}";
        if (!found.Shape.SequenceEqual(wanted.Shape))
        {
            string rows = string.Join(" + ", wanted.Parts.Select(part => TensorLayout.RowsMeaning(part.Role)));
            string meaning = wanted.IsVector ? rows : $"{rows}, {TensorLayout.ColsMeaning(wanted.Parts[0].Role)}";
            return $"{where} is {ErrorText.Shape(found.Shape)}, expected {ErrorText.Shape(wanted.Shape)} = [{meaning}]";
        }

        return SafetensorsDtype.ToElementType(found.Dtype) is null ? $"{where} is {found.Dtype}, expected F32, BF16 or F16" : null;
    }

    private sealed class FileTensorSource(SafetensorsFile file, SafetensorsTensor tensor) : ITensorSource
    {
        public void Read(long offset, Span<byte> destination) => file.Read(tensor, offset, destination);
    }
}
