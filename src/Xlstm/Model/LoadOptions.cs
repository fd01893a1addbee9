namespace Xlstm;

/// <summary>How <see cref="XlstmModel.Load(string, LoadOptions?, IProgress{LoadProgress}?, CancellationToken)"/> holds and runs a model.</summary>
public sealed record LoadOptions
{
    /// <summary>Most threads that may be asked for.</summary>
    public const int MaxThreads = 1024;

    /// <summary>
    /// How weights are held; null picks what a packed folder holds, else <see cref="WeightFormat.BFloat16"/>, or <see cref="WeightFormat.Float32"/> for a checkpoint
    /// that holds F16 tensors (whose 10-bit mantissas bfloat16 cannot hold).
    /// </summary>
    public WeightFormat? Weights { get; init; }

    /// <summary>With <see cref="WeightFormat.Int4"/>: hold out_proj and proj_down, which write to the residual stream, at 8 bits. Better text, slower decoding.</summary>
    public bool Mix { get; init; }

    /// <summary>Where the model runs: "cpu", "cuda" (the first GPU that can), "cuda:N", "cuda:N,M" (the blocks on several GPUs, by the memory that is free), or "auto": a GPU with enough memory free, else several together, else the CPU.</summary>
    public string Device { get; init; } = "cpu";

    /// <summary>How the states of sessions are held; <see cref="StateFormat.BFloat16"/>, half the memory and half the traffic, on GPUs only. The arithmetic is float32 all the same.</summary>
    public StateFormat State { get; init; } = StateFormat.Float32;

    /// <summary>Threads that compute, the caller's included; null picks the number of physical cores. Results do not depend on it.</summary>
    public int? Threads { get; init; }

    /// <summary>Refuse to load, before anything is read, when the machine has less memory free than the model will need.</summary>
    public bool CheckMemory { get; init; } = true;
}
