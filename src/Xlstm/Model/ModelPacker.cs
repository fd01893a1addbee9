using Xlstm.Backends.Cpu;
using Xlstm.Calibration;
using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;
using Xlstm.Memory;

namespace Xlstm;

/// <summary>What to pack a checkpoint into.</summary>
public sealed record PackOptions
{
    /// <summary>How the weights are to be held.</summary>
    public required WeightFormat Weights { get; init; }

    /// <summary>With int4: keep out_proj and proj_down at 8 bits.</summary>
    public bool Mix { get; init; }

    /// <summary>
    /// Token ids of typical text, begin-of-text first: the model reads them, and every weight is rounded so that, on what its layer has read, the errors of a row
    /// cancel as far as they can. Only int4 makes use of it. Null: every weight is rounded by itself.
    /// </summary>
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
        using (NativeBuffer weights = options is { Weights: WeightFormat.Int4, CalibrationIds: { } ids }
            ? ModelCalibrator.Load(checkpoint, layout, Validate(ids, checkpoint.Config), threads, progress, cancellationToken)
            : PackedLoader.Load(checkpoint, layout, threads, progress, cancellationToken))
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

    private static int[] Validate(IReadOnlyList<int> ids, XlstmConfig config)
    {
        if (ids.Count < ModelCalibrator.MinTokens)
        {
            throw new XlstmException($"calibration needs at least {ModelCalibrator.MinTokens} tokens, found {ids.Count}");
        }

        foreach (int id in ids)
        {
            if ((uint)id >= (uint)config.VocabSize)
            {
                throw new XlstmException($"calibration token id {id} is not in the vocabulary: ids go from 0 to {config.VocabSize - 1}");
            }
        }

        return [.. ids];
    }
}
