namespace Xlstm;

/// <summary>One loaded, immutable model: config, tokenizer and weights on a device. Safe to share: many sessions on many threads may use it.</summary>
public sealed class XlstmModel : IDisposable
{
    /// <summary>Loads a checkpoint folder: config.json, safetensors in any layout, tokenizer.json if there is one.</summary>
    /// <param name="folder">The checkpoint's folder.</param>
    /// <param name="options">How weights are held and run.</param>
    /// <param name="progress">Told about shards and bytes as they are read.</param>
    /// <param name="cancellationToken">Ends the load; nothing stays allocated.</param>
    /// <exception cref="Checkpoints.CheckpointException">A file is missing, damaged or contradictory.</exception>
    /// <exception cref="XlstmException">The machine has too little memory.</exception>
    public static XlstmModel Load(string folder, LoadOptions? options = null, IProgress<LoadProgress>? progress = null, CancellationToken cancellationToken = default) =>
        throw new NotImplementedException();

    /// <summary>The checkpoint's folder.</summary>
    public string Folder => throw new NotImplementedException();

    /// <summary>The model's sizes and constants.</summary>
    public XlstmConfig Config => throw new NotImplementedException();

    /// <summary>The checkpoint's tokenizer; null when the folder has no tokenizer.json (token ids still work).</summary>
    public Tokenizer? Tokenizer => throw new NotImplementedException();

    /// <summary>What generation_config.json asks for, over the defaults.</summary>
    public GenerationOptions DefaultGeneration => throw new NotImplementedException();

    /// <summary>How the weights are held.</summary>
    public WeightFormat Weights => throw new NotImplementedException();

    /// <summary>Bytes of weights in memory.</summary>
    public long WeightBytes => throw new NotImplementedException();

    /// <summary>Bytes of one session's recurrent state.</summary>
    public long StateBytes => throw new NotImplementedException();

    /// <summary>Threads that compute.</summary>
    public int Threads => throw new NotImplementedException();

    /// <summary>The device and instruction set, for people: "CPU, 2 threads, AVX-512".</summary>
    public string Device => throw new NotImplementedException();

    /// <summary>Things a user should know about the checkpoint, one line each.</summary>
    public IReadOnlyList<string> Warnings => throw new NotImplementedException();

    /// <summary>A new, empty timeline on this model.</summary>
    public Session CreateSession() => throw new NotImplementedException();

    /// <summary>Frees the weights. Sessions of this model must not be used any more.</summary>
    public void Dispose() => throw new NotImplementedException();
}
