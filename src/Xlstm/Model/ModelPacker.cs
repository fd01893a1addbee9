using Xlstm.Backends.Cpu;
using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;

namespace Xlstm;

/// <summary>What to pack a checkpoint into.</summary>
public sealed record PackOptions
{
    /// <summary>How the weights are to be held.</summary>
    public required WeightFormat Weights { get; init; }

    /// <summary>With int4: keep out_proj and proj_down at 8 bits.</summary>
    public bool Mix { get; init; }

    /// <summary>Token ids of typical text, begin-of-text first: the model reads them, and rounding errors are weighed by the activations it had. Only int4 makes use of it. Null: not calibrated.</summary>
    public IReadOnlyList<int>? CalibrationIds { get; init; }

    /// <summary>Threads that compute; null picks the number of physical cores.</summary>
    public int? Threads { get; init; }
}

/// <summary>Writes packed folders: weights in the form in which they are computed with, so that loading is mapping a file.</summary>
public static class ModelPacker
{
    // Text that comes along: what makes a folder a model beside its weights.
    private static readonly string[] Companions = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];

    /// <summary>Packs a checkpoint into a new folder, which appears when it is whole.</summary>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="folder">The folder to make; must not exist or be empty.</param>
    /// <param name="options">What to pack into.</param>
    /// <param name="progress">Told as tensors are read and packed.</param>
    /// <param name="cancellationToken">Ends the work; nothing stays behind.</param>
    /// <exception cref="XlstmException">The folder is not empty, the disk or memory is too small, or a weight is not a finite number.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static void Pack(Checkpoint checkpoint, string folder, PackOptions options, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentNullException.ThrowIfNull(options);
        if (checkpoint.PackedFormat is { } already)
        {
            throw new CheckpointException($"{checkpoint.Folder}: is packed as {PackedFile.NameOf(already)} already; pack the original checkpoint");
        }

        var layout = new PackedLayout(checkpoint.Config, new WeightRecipe(options.Weights, options.Mix));
        int threads = options.Threads ?? Machine.PhysicalCores;
        using NewFolder target = NewFolder.Create(folder, layout.ByteLength);
        ActivationStatistics? statistics = options.CalibrationIds is { } ids ? Calibrate(checkpoint, ids, threads, cancellationToken) : null;
        using (var weights = PackedLoader.Load(checkpoint, layout, threads, progress, cancellationToken, statistics is null ? null : statistics.Importance))
        {
            PackedFile.Write(Path.Combine(target.TemporaryPath, PackedFile.FileName), layout, weights, cancellationToken);
        }

        foreach (string name in Companions)
        {
            string source = Path.Combine(checkpoint.Folder, name);
            if (File.Exists(source))
            {
                target.WriteFile(name, File.ReadAllBytes(source));
            }
        }

        target.Complete();
    }

    private static ActivationStatistics Calibrate(Checkpoint checkpoint, IReadOnlyList<int> ids, int threads, CancellationToken cancellationToken)
    {
        const int Chunk = 256;
        if (ids.Count < 2)
        {
            throw new XlstmException($"calibration needs at least 2 tokens, found {ids.Count}");
        }

        int[] all = [.. ids];
        foreach (int id in all)
        {
            if ((uint)id >= (uint)checkpoint.Config.VocabSize)
            {
                throw new XlstmException($"calibration token id {id} is not in the vocabulary: ids go from 0 to {checkpoint.Config.VocabSize - 1}");
            }
        }

        var statistics = new ActivationStatistics(checkpoint.Config);
        using CpuBackend backend = CpuBackend.Load(checkpoint, WeightFormat.BFloat16, threads, CpuInstructionSets.Best, cancellationToken: cancellationToken);
        using RecurrentState state = backend.CreateState();
        backend.Observe(statistics);
        for (int first = 0; first < all.Length; first += Chunk)
        {
            cancellationToken.ThrowIfCancellationRequested();
            backend.Forward([new Backends.BatchItem(state, all.AsMemory(first, Math.Min(Chunk, all.Length - first)), Backends.Output.None, default)]);
        }

        return statistics;
    }
}
