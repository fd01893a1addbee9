using System.Globalization;
using System.Text.RegularExpressions;

namespace Xlstm.Checkpoints;

/// <summary>Which safetensors files of a folder make up the model. Other safetensors beside them are never touched.</summary>
/// <param name="Names">File names in order.</param>
/// <param name="WeightMap">What the index says, or null without one.</param>
/// <param name="Warnings">Things to know, one line each.</param>
internal sealed partial record CheckpointFiles(IReadOnlyList<string> Names, IReadOnlyDictionary<string, string>? WeightMap, IReadOnlyList<string> Warnings)
{
    /// <summary>The name of a model in one file.</summary>
    public const string SingleFile = "model.safetensors";

    /// <summary>Every shard stays open: this is far more than any model has, and below the usual limit of open files.</summary>
    public const int MaxShards = 512;

    /// <summary>
    /// Looks, in transformers' order, for model.safetensors, the index with its shards, model-0000k-of-0000n.safetensors without an index,
    /// and model_0.safetensors, model_1.safetensors...
    /// </summary>
    /// <exception cref="CheckpointException">There is no model, a shard is missing, or two sets of shards lie side by side.</exception>
    public static CheckpointFiles Find(string folder)
    {
        // A broken link counts as there: opening it says what is wrong with it.
        HashSet<string> present = ListNames(folder);
        bool hasIndex = present.Contains(ShardIndex.FileName);
        if (present.Contains(SingleFile))
        {
            return new CheckpointFiles([SingleFile], null, hasIndex ? [$"{SingleFile} is there, so {ShardIndex.FileName} is not used"] : []);
        }

        return hasIndex ? FromIndex(folder, present) : FromNumbers(folder, present);
    }

    private static HashSet<string> ListNames(string folder)
    {
        try
        {
            return Directory.EnumerateFileSystemEntries(folder).Select(path => Path.GetFileName(path)).ToHashSet(StringComparer.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{folder}: cannot be listed: {ErrorText.Clean(e.Message)}", e);
        }
    }

    private static CheckpointFiles FromIndex(string folder, HashSet<string> present)
    {
        string path = Path.Combine(folder, ShardIndex.FileName);
        IReadOnlyDictionary<string, string> map = ShardIndex.Read(path);
        string[] names = map.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray();
        string[] missing = names.Where(name => !present.Contains(name)).Select(ErrorText.Quote).ToArray();
        if (missing.Length > 0)
        {
            throw new CheckpointException($"{path}: names {missing.Length} of {names.Length} files that are not there: {ErrorText.FirstFive(missing)}");
        }

        return new CheckpointFiles(CheckCount(path, names), map, []);
    }

    private static CheckpointFiles FromNumbers(string folder, HashSet<string> present)
    {
        int[] totals = present.Select(name => NumberedOf().Match(name)).Where(m => m.Success).Select(m => Number(m.Groups["n"])).Distinct().ToArray();
        int[] numbers = present.Select(name => Numbered().Match(name)).Where(m => m.Success).Select(m => Number(m.Groups["k"])).ToArray();
        if (totals.Length + (numbers.Length > 0 ? 1 : 0) > 1)
        {
            throw new CheckpointException($"{folder}: shards of more than one checkpoint lie side by side, and no {ShardIndex.FileName} says which to use");
        }

        string[] names;
        if (totals is [int total])
        {
            names = Enumerable.Range(1, Math.Min(total, MaxShards + 1)).Select(k => string.Create(CultureInfo.InvariantCulture, $"model-{k:d5}-of-{total:d5}.safetensors")).ToArray();
        }
        else if (numbers.Length > 0)
        {
            names = Enumerable.Range(0, Math.Min(numbers.Max(), MaxShards) + 1).Select(k => string.Create(CultureInfo.InvariantCulture, $"model_{k}.safetensors")).ToArray();
        }
        else
        {
            throw new CheckpointException($"{folder}: no model here: expected {SingleFile}, {ShardIndex.FileName} or numbered shards (model-00001-of-0000N.safetensors, model_0.safetensors)");
        }

        string[] missing = CheckCount(folder, names).Where(name => !present.Contains(name)).ToArray();
        return missing.Length == 0
            ? new CheckpointFiles(names, null, [])
            : throw new CheckpointException($"{folder}: {missing.Length} of {names.Length} shards missing: {ErrorText.FirstFive(missing)}");
    }

    private static string[] CheckCount(string where, string[] names) =>
        names.Length is > 0 and <= MaxShards ? names : throw new CheckpointException($"{where}: expected 1 to {MaxShards} shards");

    private static int Number(Group digits) => int.Parse(digits.ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^model-(?<k>[0-9]{5})-of-(?<n>[0-9]{5})\.safetensors\z", RegexOptions.CultureInvariant)]
    private static partial Regex NumberedOf();

    [GeneratedRegex(@"^model_(?<k>0|[1-9][0-9]{0,4})\.safetensors\z", RegexOptions.CultureInvariant)]
    private static partial Regex Numbered();
}
