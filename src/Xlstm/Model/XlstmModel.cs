using System.Text.Json;
using Xlstm.Backends;
using Xlstm.Backends.Cpu;
using Xlstm.Backends.Cuda;
using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;
using Xlstm.Generation;
using Xlstm.Sessions;

namespace Xlstm;

/// <summary>One loaded, immutable model: config, tokenizer and weights on a device. Safe to share: many sessions on many threads may use it.</summary>
public sealed class XlstmModel : IDisposable
{
    // The runtime, the reading threads' buffers and the code itself.
    private const long ProcessBytes = 256L << 20;

    private readonly Lazy<TokenMask> _padding;
    private readonly Lazy<TokenMask> _paddingAndEnd;

    internal XlstmModel(Checkpoint checkpoint, Tokenizer? tokenizer, GenerationOptions defaultGeneration, Backend backend, DeviceChoice? device = null)
    {
        Folder = checkpoint.Folder;
        Config = checkpoint.Config;
        Tokenizer = tokenizer;
        DefaultGeneration = defaultGeneration;
        Backend = backend;
        States = new StatePool(backend);
        Fingerprint = ModelFingerprint.Of(checkpoint);
        BeginOfText = tokenizer?.BeginOfText ?? TokenId(checkpoint, "bos_token_id") ?? 0;
        EndOfText = tokenizer?.EndOfText ?? TokenId(checkpoint, "eos_token_id") ?? 0;
        WhyNoGpu = device?.WhyNoGpu;
        Warnings = [.. WarningsOf(checkpoint, tokenizer), .. device is { HasGpu: true, WhyNoGpu: { } why } ? [$"runs on the CPU: {why}"] : Array.Empty<string>()];
        _padding = new(() => new TokenMask(Config.VocabSize, id => Tokenizer?.HasToken(id) == false));
        _paddingAndEnd = new(() => new TokenMask(Config.VocabSize, id => id == EndOfText || Tokenizer?.HasToken(id) == false));
    }

    /// <summary>The checkpoint's folder.</summary>
    public string Folder { get; }

    /// <summary>The model's sizes and constants.</summary>
    public XlstmConfig Config { get; }

    /// <summary>The checkpoint's tokenizer; null when the folder has no tokenizer.json (token ids still work).</summary>
    public Tokenizer? Tokenizer { get; }

    /// <summary>The token that every text must start with. The tokenizer's own, else config.json's, else 0.</summary>
    public int BeginOfText { get; }

    /// <summary>The token that ends a text. The tokenizer's own, whatever config.json says; without a tokenizer config.json's, else 0.</summary>
    public int EndOfText { get; }

    /// <summary>What generation_config.json asks for, over the defaults.</summary>
    public GenerationOptions DefaultGeneration { get; }

    /// <summary>How the weights are held.</summary>
    public WeightFormat Weights => Backend.Weights;

    /// <summary>Bytes of weights in memory.</summary>
    public long WeightBytes => Backend.WeightBytes;

    /// <summary>How the states of sessions are held.</summary>
    public StateFormat StateFormat => Backend.State;

    /// <summary>Bytes of one session's recurrent state.</summary>
    public long StateBytes => Backend.StateBytes;

    /// <summary>Bytes beside weights and states, at the largest batch.</summary>
    public long WorkspaceBytes => Backend.WorkspaceBytes;

    /// <summary>Threads that compute; 1 on a GPU.</summary>
    public int Threads => Backend.Threads;

    /// <summary>The device, for people: "CPU, 2 threads, AVX-512", "cuda:0, NVIDIA H100 80GB HBM3".</summary>
    public string Device => Backend.Description;

    /// <summary>Whether it runs on a GPU, or several.</summary>
    public bool OnGpu => Backend is CudaBackend;

    /// <summary>Why <see cref="LoadOptions.Device"/> "auto" came to the CPU, in one line; null on a GPU, and where the CPU was asked for.</summary>
    public string? WhyNoGpu { get; }

    /// <summary>Things a user should know about the checkpoint or a GPU that was passed over, one line each.</summary>
    public IReadOnlyList<string> Warnings { get; }

    /// <summary>
    /// Which model this is, 64 hexadecimal digits: the same on every device, for every weight format and for every way the
    /// checkpoint is cut into files; another one for other sizes, constants or weights. docs/session-file.md says what goes into it.
    /// </summary>
    public string Fingerprint { get; }

    internal Backend Backend { get; }

    internal StatePool States { get; }

    /// <summary>Tokens that are never chosen: rows of the vocabulary without a token behind them, which pad the matrix and were never trained.</summary>
    /// <param name="endOfText">Whether the end of text is one of them.</param>
    internal TokenMask ForbiddenTokens(bool endOfText) => (endOfText ? _paddingAndEnd : _padding).Value;

    /// <summary>Loads a checkpoint folder: config.json, safetensors in any layout, tokenizer.json if there is one.</summary>
    /// <param name="folder">The checkpoint's folder.</param>
    /// <param name="options">How weights are held and run.</param>
    /// <param name="progress">Told about shards and bytes as they are read.</param>
    /// <param name="cancellationToken">Ends the load; nothing stays allocated.</param>
    /// <exception cref="CheckpointException">A file is missing, damaged or contradictory, or a weight is not a finite number.</exception>
    /// <exception cref="XlstmException">An option is out of range, or the machine has too little memory.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public static XlstmModel Load(string folder, LoadOptions? options = null, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        return Load(checkpoint, options, progress, cancellationToken);
    }

    /// <summary>Loads an opened checkpoint, which need not be on disk: <see cref="Synthesizer.Open"/> makes random ones. It may be closed afterwards.</summary>
    /// <param name="checkpoint">The checkpoint; its tokenizer is read from its folder, if there is one.</param>
    /// <param name="options">How weights are held and run.</param>
    /// <param name="progress">Told about shards and bytes as they are read.</param>
    /// <param name="cancellationToken">Ends the load; nothing stays allocated.</param>
    /// <exception cref="CheckpointException">A file is damaged or contradictory, or a weight is not a finite number.</exception>
    /// <exception cref="XlstmException">An option is out of range, or the machine has too little memory.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public static XlstmModel Load(Checkpoint checkpoint, LoadOptions? options = null, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        options ??= new LoadOptions();
        int threads = options.Threads ?? Machine.PhysicalCores;
        if (threads is < 1 or > LoadOptions.MaxThreads)
        {
            throw new XlstmException($"threads must be between 1 and {LoadOptions.MaxThreads}, found {threads}");
        }

        var recipe = new WeightRecipe(options.Weights ?? DefaultFormat(checkpoint), options.Mix);
        Tokenizer? tokenizer = File.Exists(Path.Combine(checkpoint.Folder, "tokenizer.json")) ? Tokenizer.Load(checkpoint.Folder) : null;
        GenerationOptions defaults = GenerationConfig.Read(checkpoint.Folder);
        DeviceChoice device = DeviceChoice.Make(options.Device, checkpoint, recipe, options.State);
        bool isCpu = device.Places.Count == 0;
        if (isCpu && options.State != StateFormat.Float32)
        {
            throw new XlstmException($"bfloat16 states need a GPU, the CPU's are float32{(device.WhyNoGpu is { } why ? $": {why}" : "")}");
        }

        if (options.CheckMemory && isCpu)
        {
            CheckMemory(checkpoint, recipe, threads);
        }

        Backend backend = isCpu
            ? CpuBackend.Load(checkpoint, recipe, threads, CpuInstructionSets.Best, progress, cancellationToken)
            : CudaBackend.Load(device.Places, checkpoint, recipe, threads, options.State, progress, cancellationToken);
        return new XlstmModel(checkpoint, tokenizer, defaults, backend, device);
    }

    /// <summary>The format that <see cref="LoadOptions.Weights"/> null stands for.</summary>
    /// <param name="checkpoint">An opened checkpoint.</param>
    public static WeightFormat DefaultFormat(Checkpoint checkpoint)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        if (checkpoint.PackedFormat is { } packed)
        {
            return packed;
        }

        bool hasFloat16 = checkpoint.Embeddings.ElementType == ElementType.Float16 || checkpoint.Blocks.Any(block => block.Q.ElementType == ElementType.Float16);
        return hasFloat16 ? WeightFormat.Float32 : WeightFormat.BFloat16;
    }

    /// <summary>What <see cref="Warnings"/> of a model would be, without loading it.</summary>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="tokenizer">Its tokenizer; null when it has none.</param>
    public static IReadOnlyList<string> WarningsOf(Checkpoint checkpoint, Tokenizer? tokenizer)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        return [.. checkpoint.Warnings, .. Disagreements(checkpoint, tokenizer)];
    }

    /// <summary>A new, empty timeline on this model.</summary>
    /// <param name="snapshots">Which states of its past it keeps; null keeps none.</param>
    /// <exception cref="XlstmException">The policy is out of its range, or the machine has not the memory for another state.</exception>
    public Session CreateSession(SnapshotPolicy? snapshots = null)
    {
        snapshots?.Validate();
        return new Session(this, snapshots);
    }

    /// <summary>Frees the weights. Sessions of this model must not be used any more.</summary>
    public void Dispose()
    {
        States.Dispose();
        Backend.Dispose();
    }

    private static void CheckMemory(Checkpoint checkpoint, WeightRecipe recipe, int threads)
    {
        long Need(WeightRecipe r) => MemoryEstimate.For(checkpoint.Config, r.Format, threads, r.Mix).TotalBytes + ProcessBytes;
        long need = Need(recipe);
        long available = Machine.AvailableMemory;
        if (need <= available)
        {
            return;
        }

        // The most exact format that fits: they are listed from large to small.
        WeightRecipe[] fitting = [.. Enum.GetValues<WeightFormat>().Where(format => format > recipe.Format).Select(format => new WeightRecipe(format)).Where(r => Need(r) <= available)];
        string advice = fitting.Length > 0
            ? $"--weights {PackedFile.NameOf(fitting[0].Format)} needs {Gigabytes(Need(fitting[0]))} GB"
            : "close other programs or use a machine with more memory";
        throw new XlstmException(
            $"{checkpoint.Folder}: needs {Gigabytes(need)} GB of memory with {PackedFile.NameOf(recipe.Format)} weights, but {Gigabytes(available)} GB are available: {advice}");
    }

    private static string Gigabytes(long bytes) => (bytes / 1e9).ToString("0.0", System.Globalization.CultureInfo.InvariantCulture);

    private static int? TokenId(Checkpoint checkpoint, string key) =>
        checkpoint.RawConfig.TryGetValue(key, out JsonElement value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int id)
            && id >= 0 && id < checkpoint.Config.VocabSize ? id : null;

    private static IEnumerable<string> Disagreements(Checkpoint checkpoint, Tokenizer? tokenizer)
    {
        if (tokenizer?.EndOfText is { } own && TokenId(checkpoint, "eos_token_id") is { } stated && own != stated)
        {
            yield return $"config.json says eos_token_id {stated}, but the tokenizer's end of text is {own}, which is used";
        }

        if (tokenizer is not null && tokenizer.MaxId >= checkpoint.Config.VocabSize)
        {
            yield return $"tokenizer.json has token ids up to {tokenizer.MaxId}, but vocab_size is {checkpoint.Config.VocabSize}: text that uses the others is refused";
        }
    }
}
