using System.Globalization;
using Xlstm.Memory;

namespace Xlstm.Checkpoints.Packed;

/// <summary>
/// The weights of a packed folder: a safetensors file whose data is <see cref="PackedLayout"/>, byte for byte, so that it is
/// mapped and used as it is. docs/packed-format.md describes it.
/// </summary>
internal sealed class PackedFile
{
    /// <summary>The file's name in its folder.</summary>
    public const string FileName = "packed.safetensors";

    /// <summary>The version that this build writes, and the only one that it reads.</summary>
    public const int Version = 1;

    private const string VersionKey = "xlstm_packed_version";
    private const string WeightsKey = "weights";
    private const string MixKey = "mix";
    private const string GroupSizeKey = "group_size";
    private const string PanelRowsKey = "panel_rows";

    private readonly string _path;
    private readonly long _dataStart;

    private PackedFile(string path, PackedLayout layout, long dataStart)
    {
        _path = path;
        Layout = layout;
        _dataStart = dataStart;
    }

    /// <summary>Where the weights lie and how they are held.</summary>
    public PackedLayout Layout { get; }

    /// <summary>Whether a folder is packed.</summary>
    public static bool Exists(string folder) => File.Exists(Path.Combine(folder, FileName));

    /// <summary>Opens and checks the header: version, formats, and every tensor's name, shape and place.</summary>
    /// <param name="folder">A packed folder.</param>
    /// <param name="config">Its config.json.</param>
    /// <exception cref="CheckpointException">The file is not what version 1 says for this config.</exception>
    public static PackedFile Open(string folder, XlstmConfig config)
    {
        string path = Path.Combine(folder, FileName);
        using SafetensorsFile file = SafetensorsFile.Open(path);
        string Metadata(string key) =>
            file.Metadata.TryGetValue(key, out string? text) ? text : throw new CheckpointException($"{path}: __metadata__ has no \"{key}\": not a packed file of version {Version}");
        void Expect(string key, int expected)
        {
            if (Metadata(key) != expected.ToString(CultureInfo.InvariantCulture))
            {
                throw new CheckpointException($"{path}: {key} is {ErrorText.Quote(Metadata(key))}, this build reads {expected}");
            }
        }

        Expect(VersionKey, Version);
        Expect(GroupSizeKey, PackedMatrix.GroupSize);
        Expect(PanelRowsKey, PackedMatrix.PanelRows);
        var layout = new PackedLayout(config, new WeightRecipe(ParseFormat(path, Metadata(WeightsKey)), Metadata(MixKey) == "true"));
        return new PackedFile(path, layout, CheckTensors(path, file, layout));
    }

    /// <summary>How packed files name a format.</summary>
    public static string NameOf(WeightFormat format) => format switch
    {
        WeightFormat.Float32 => "float32",
        WeightFormat.BFloat16 => "bfloat16",
        WeightFormat.Int8 => "int8",
        WeightFormat.Int4 => "int4",
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, null),
    };

    /// <summary>Maps the weights. Each call makes a mapping of its own.</summary>
    /// <exception cref="CheckpointException">The file cannot be mapped.</exception>
    public MappedMemory Map()
    {
        try
        {
            return new MappedMemory(_path, _dataStart, Layout.ByteLength);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new CheckpointException($"{_path}: cannot be mapped: {ErrorText.Clean(e.Message)}", e);
        }
    }

    /// <summary>Writes a packed file.</summary>
    /// <param name="path">The target; appears when it is whole.</param>
    /// <param name="layout">What to write.</param>
    /// <param name="weights">The weights, laid out so.</param>
    /// <param name="cancellationToken">Honoured between pieces; nothing stays behind.</param>
    public static unsafe void Write(string path, PackedLayout layout, IWeightMemory weights, CancellationToken cancellationToken)
    {
        const int Piece = 64 << 20;
        var metadata = new Dictionary<string, string>
        {
            [VersionKey] = Version.ToString(CultureInfo.InvariantCulture),
            [WeightsKey] = NameOf(layout.Recipe.Format),
            [MixKey] = layout.Recipe.Mix ? "true" : "false",
            [GroupSizeKey] = PackedMatrix.GroupSize.ToString(CultureInfo.InvariantCulture),
            [PanelRowsKey] = PackedMatrix.PanelRows.ToString(CultureInfo.InvariantCulture),
        };
        using var writer = SafetensorsWriter.Create(path, [.. layout.Tensors.Select(tensor => new SafetensorsTensorSpec(tensor.Name, DtypeOf(tensor), ShapeOf(tensor)))], metadata);
        for (long offset = 0; offset < layout.ByteLength; offset += Piece)
        {
            cancellationToken.ThrowIfCancellationRequested();
            writer.Write(new ReadOnlySpan<byte>(weights.Pointer + offset, (int)Math.Min(Piece, layout.ByteLength - offset)));
        }

        writer.Complete();
    }

    private static WeightFormat ParseFormat(string path, string name)
    {
        foreach (WeightFormat format in Enum.GetValues<WeightFormat>())
        {
            if (NameOf(format) == name)
            {
                return format;
            }
        }

        throw new CheckpointException($"{path}: weights is {ErrorText.Quote(name)}, expected {string.Join(", ", Enum.GetValues<WeightFormat>().Select(NameOf))}");
    }

    /// <summary>Compares the header with the layout; returns where the data starts.</summary>
    private static long CheckTensors(string path, SafetensorsFile file, PackedLayout layout)
    {
        string[] missing = [.. layout.Tensors.Where(tensor => !file.Tensors.ContainsKey(tensor.Name)).Select(tensor => $"{ErrorText.Quote(tensor.Name)} is missing")];
        var expected = layout.Tensors.Select(tensor => tensor.Name).ToHashSet(StringComparer.Ordinal);
        string[] extra = [.. file.Tensors.Keys.Where(name => !expected.Contains(name)).Select(name => $"{ErrorText.Quote(name)} is not of this model")];
        if (missing.Length + extra.Length > 0)
        {
            throw new CheckpointException($"{path}: {missing.Length} tensors missing, {extra.Length} too many: {ErrorText.FirstFive([.. missing, .. extra])}");
        }

        string[] misshaped = [.. layout.Tensors.Select(tensor => (tensor, stored: file.Tensors[tensor.Name]))
            .Where(pair => pair.stored.Dtype != DtypeOf(pair.tensor) || !pair.stored.Shape.SequenceEqual(ShapeOf(pair.tensor)))
            .Select(pair => $"{ErrorText.Quote(pair.tensor.Name)} is {pair.stored.Dtype} [{string.Join(", ", pair.stored.Shape)}], expected {DtypeOf(pair.tensor)} [{string.Join(", ", ShapeOf(pair.tensor))}]")];
        if (misshaped.Length > 0)
        {
            throw new CheckpointException($"{path}: {misshaped.Length} tensors do not fit config.json and the file's format: {ErrorText.FirstFive(misshaped)}");
        }

        long dataStart = file.Tensors[layout.Tensors[0].Name].Offset;
        PackedTensor? misplaced = layout.Tensors.FirstOrDefault(tensor => file.Tensors[tensor.Name].Offset != dataStart + tensor.Offset);
        return misplaced is null
            ? dataStart
            : throw new CheckpointException($"{path}: tensor {ErrorText.Quote(misplaced.Name)} is not where version {Version} has it: the file was written by another program");
    }

    private static string DtypeOf(PackedTensor tensor) => tensor.Format switch
    {
        WeightFormat.Float32 => "F32",
        WeightFormat.BFloat16 => "BF16",
        _ => "U8",
    };

    private static long[] ShapeOf(PackedTensor tensor)
    {
        if (tensor.IsVector)
        {
            return [tensor.Cols];
        }

        long panels = PackedMatrix.PanelCount(tensor.Rows);
        return tensor.Format switch
        {
            WeightFormat.Float32 => [panels, tensor.Cols, PackedMatrix.PanelRows],
            WeightFormat.BFloat16 => [panels, (tensor.Cols + 1) / 2, PackedMatrix.PanelRows, 2],
            _ => [panels, PackedMatrix.PanelByteLength(tensor.Cols, tensor.Format)],
        };
    }
}
