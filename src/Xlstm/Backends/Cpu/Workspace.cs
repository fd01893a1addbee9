using Xlstm.Backends.Cpu.Kernels;
using Xlstm.Memory;

namespace Xlstm.Backends.Cpu;

/// <summary>The activations of one batch, grown to the largest batch seen. Every buffer is row-major, one row a token.</summary>
internal sealed unsafe class Workspace : IDisposable
{
    /// <summary>Most tokens of a batch: enough that reading the weights once a batch is a small part of the arithmetic.</summary>
    public const int MaxTokens = 512;

    /// <summary>Rows of logits made at a time: whole wide tiles.</summary>
    public const int LogitRows = 4 * ActivationTiles.Wide;

    private readonly XlstmConfig _config;
    private readonly NativeBuffer _perThread;
    private readonly long _perThreadFloats;
    private NativeBuffer? _memory;
    private NativeBuffer? _logits;
    private int _capacity;
    private int _logitCapacity;

    public Workspace(XlstmConfig config, int threads)
    {
        _config = config;
        _perThreadFloats = PerThreadFloats(config);
        _perThread = new NativeBuffer(sizeof(float) * _perThreadFloats * threads);
        Reserve(1);
    }

    /// <summary>The residual stream, float32 [T, D].</summary>
    public float* X { get; private set; }

    /// <summary>float32 [T, QK].</summary>
    public float* Q { get; private set; }

    /// <summary>float32 [T, QK].</summary>
    public float* K { get; private set; }

    /// <summary>float32 [T, VD].</summary>
    public float* V { get; private set; }

    /// <summary>ogate preactivation, float32 [T, VD].</summary>
    public float* O { get; private set; }

    /// <summary>i then f preactivations, float32 [T, 2 H].</summary>
    public float* IfGates { get; private set; }

    /// <summary>Cell output before its norm, float32 [T, VD].</summary>
    public float* H { get; private set; }

    /// <summary>float32 [T, F].</summary>
    public float* FfnGate { get; private set; }

    /// <summary>float32 [T, F].</summary>
    public float* FfnUp { get; private set; }

    /// <summary>The scalars of every step and head, [T, H].</summary>
    public MlstmCell.StepScalars* Scalars { get; private set; }

    /// <summary>The tiles that matrix kernels read: room for a batch of the widest input in every form.</summary>
    public byte* Tiles { get; private set; }

    /// <summary>float32 [<see cref="LogitRows"/>, V].</summary>
    public float* Logits => (float*)_logits!.Pointer;

    /// <summary>Bytes of the workspace of a model at the largest batch.</summary>
    public static long MaxByteLength(XlstmConfig config, int threads) =>
        (sizeof(float) * ((PerThreadFloats(config) * threads) + ((long)LogitRows * config.VocabSize))) + ByteLength(config, MaxTokens);

    /// <summary>One thread's row, as long as the widest input: the float32 tile of a batch of one token, or the row a token's tile is filled from. A row's other forms have room behind it.</summary>
    public float* Row(int thread) => CellScratch(thread) + Align((long)_config.QkHeadDim * MlstmCell.ColumnBlock);

    /// <summary>One thread's block of C, [dqk, <see cref="MlstmCell.ColumnBlock"/>].</summary>
    public float* CellScratch(int thread) => (float*)_perThread.Pointer + (thread * _perThreadFloats);

    /// <summary>Makes room for a batch.</summary>
    /// <param name="tokens">T, at most <see cref="MaxTokens"/>.</param>
    public void Reserve(int tokens)
    {
        if (tokens <= _capacity)
        {
            return;
        }

        _capacity = 0;
        _memory?.Dispose();
        _memory = new NativeBuffer(ByteLength(_config, tokens));
        byte* next = _memory.Pointer;
        X = Take(ref next, (long)tokens * _config.EmbeddingDim);
        Q = Take(ref next, (long)tokens * _config.QkDim);
        K = Take(ref next, (long)tokens * _config.QkDim);
        V = Take(ref next, (long)tokens * _config.VDim);
        O = Take(ref next, (long)tokens * _config.VDim);
        H = Take(ref next, (long)tokens * _config.VDim);
        IfGates = Take(ref next, (long)tokens * 2 * _config.NumHeads);
        FfnGate = Take(ref next, (long)tokens * _config.FfnDim);
        FfnUp = Take(ref next, (long)tokens * _config.FfnDim);
        Scalars = (MlstmCell.StepScalars*)Take(ref next, (long)tokens * _config.NumHeads * (sizeof(MlstmCell.StepScalars) / sizeof(float)));
        Tiles = (byte*)Take(ref next, TileBytes(_config, tokens) / sizeof(float));
        _capacity = tokens;
    }

    /// <summary>Makes room for logits.</summary>
    /// <param name="rows">Rows, at most <see cref="LogitRows"/>.</param>
    public void ReserveLogits(int rows)
    {
        if (rows > _logitCapacity)
        {
            _logitCapacity = 0;
            _logits?.Dispose();
            _logits = new NativeBuffer(sizeof(float) * (long)rows * _config.VocabSize);
            _logitCapacity = rows;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _memory?.Dispose();
        _logits?.Dispose();
        _perThread.Dispose();
    }

    private static int LargestInput(XlstmConfig c) => Math.Max(c.EmbeddingDim, Math.Max(c.VDim, c.FfnDim));

    private static long PerThreadFloats(XlstmConfig c) =>
        Align(TileInputs.TokenBytes(LargestInput(c), AllForms) / sizeof(float)) + Align((long)c.QkHeadDim * MlstmCell.ColumnBlock);

    private static long TileBytes(XlstmConfig c, int tokens) => ActivationTiles.PaddedCount(tokens) * TileInputs.TokenBytes(LargestInput(c), AllForms);

    private static long ByteLength(XlstmConfig c, int tokens)
    {
        long row = c.EmbeddingDim + (2L * c.QkDim) + (3L * c.VDim) + (2L * c.NumHeads) + (2L * c.FfnDim) + (c.NumHeads * (sizeof(MlstmCell.StepScalars) / sizeof(float)));
        return (sizeof(float) * ((tokens * row) + (11 * FloatAlignment))) + TileBytes(c, tokens);
    }

    private const Encodings AllForms = Encodings.Float32 | Encodings.Words | Encodings.Bytes;

    private const int FloatAlignment = NativeBuffer.Alignment / sizeof(float);

    private static long Align(long floats) => (floats + FloatAlignment - 1) / FloatAlignment * FloatAlignment;

    private static float* Take(ref byte* next, long floats)
    {
        float* taken = (float*)next;
        next += sizeof(float) * Align(floats);
        return taken;
    }
}
