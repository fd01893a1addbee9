using Xlstm.Checkpoints;

namespace Xlstm.Backends.Cpu;

/// <summary>A stored tensor and where its values belong: rows of a packed matrix, or a float32 vector.</summary>
internal readonly unsafe struct TensorPlacement
{
    public CheckpointTensor Source { get; init; }

    /// <summary>The matrix, when <see cref="Vector"/> is null.</summary>
    public PackedMatrix Matrix { get; init; }

    /// <summary>The matrix's row that the source's first row becomes.</summary>
    public int FirstRow { get; init; }

    /// <summary>float32 [n], or null.</summary>
    public float* Vector { get; init; }
}

/// <summary>
/// Where every weight lies in one piece of memory. The same walk over the model measures (from address zero), binds the
/// weights to their addresses and lists which stored tensor fills which place.
/// </summary>
internal sealed unsafe class WeightLayout
{
    private readonly XlstmConfig _config;
    private readonly WeightFormat _format;
    private readonly Checkpoint? _checkpoint;
    private readonly List<TensorPlacement> _placements = [];
    private byte* _next;

    private WeightLayout(XlstmConfig config, WeightFormat format, Checkpoint? checkpoint, byte* memory)
    {
        (_config, _format, _checkpoint) = (config, format, checkpoint);
        _next = memory;
    }

    /// <summary>Bytes that a model's weights take.</summary>
    public static long Measure(XlstmConfig config, WeightFormat format)
    {
        // Not from null, which stands for "no bias".
        byte* start = (byte*)NativeBuffer.Alignment;
        var layout = new WeightLayout(config, format, null, start);
        _ = layout.Lay();
        return layout._next - start;
    }

    /// <summary>Lays a checkpoint's weights out in memory of <see cref="Measure"/> bytes.</summary>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="format">How the matrices are held.</param>
    /// <param name="memory">Owned by the weights from here on.</param>
    public static (CpuWeights Weights, IReadOnlyList<TensorPlacement> Placements) Bind(Checkpoint checkpoint, WeightFormat format, NativeBuffer memory)
    {
        var layout = new WeightLayout(checkpoint.Config, format, checkpoint, memory.Pointer);
        CpuWeights weights = layout.Lay();
        weights.Memory = memory;
        return (weights, layout._placements);
    }

    private CpuWeights Lay()
    {
        XlstmConfig c = _config;
        // Every token passes through these two: at 4 bits they would cost more than they save.
        WeightFormat outer = _format == WeightFormat.Int4 ? WeightFormat.Int8 : _format;
        PackedMatrix embeddings = Matrix(c.VocabSize, c.EmbeddingDim, outer, _checkpoint?.Embeddings);
        var blocks = new CpuBlockWeights[c.NumBlocks];
        for (int i = 0; i < blocks.Length; i++)
        {
            BlockTensors? t = _checkpoint?.Blocks[i];
            blocks[i] = new CpuBlockWeights
            {
                NormMlstm = Norm(c.EmbeddingDim, t?.NormMlstm, t?.NormMlstmBias),
                Q = Linear(c.QkDim, c.EmbeddingDim, t?.Q, t?.QBias),
                K = Linear(c.QkDim, c.EmbeddingDim, t?.K, t?.KBias),
                V = Linear(c.VDim, c.EmbeddingDim, t?.V, t?.VBias),
                OGatePreact = Linear(c.VDim, c.EmbeddingDim, t?.OGatePreact, t?.OGatePreactBias),
                IfGatePreact = Gates(t),
                MultiheadNorm = Norm(c.VDim, t?.MultiheadNorm, t?.MultiheadNormBias),
                OutProj = Linear(c.EmbeddingDim, c.VDim, t?.OutProj, t?.OutProjBias),
                NormFfn = Norm(c.EmbeddingDim, t?.NormFfn, t?.NormFfnBias),
                ProjUpGate = Linear(c.FfnDim, c.EmbeddingDim, t?.ProjUpGate, t?.ProjUpGateBias),
                ProjUp = Linear(c.FfnDim, c.EmbeddingDim, t?.ProjUp, t?.ProjUpBias),
                ProjDown = Linear(c.EmbeddingDim, c.FfnDim, t?.ProjDown, t?.ProjDownBias),
            };
        }

        return new CpuWeights
        {
            Format = _format,
            Embeddings = embeddings,
            Blocks = blocks,
            OutNorm = c.AddOutNorm ? Norm(c.EmbeddingDim, _checkpoint?.OutNorm, _checkpoint?.OutNormBias) : default,
            LmHead = c.TieWordEmbeddings ? embeddings : Matrix(c.VocabSize, c.EmbeddingDim, outer, _checkpoint?.LmHead),
        };
    }

    private LinearWeights Gates(BlockTensors? t)
    {
        int heads = _config.NumHeads;
        PackedMatrix matrix = Matrix(2 * heads, _config.EmbeddingDim, WeightFormat.Float32);
        float* bias = Vector(2 * heads);
        if (t is not null)
        {
            _placements.Add(new TensorPlacement { Source = t.IGatePreact, Matrix = matrix });
            _placements.Add(new TensorPlacement { Source = t.FGatePreact, Matrix = matrix, FirstRow = heads });
            _placements.Add(new TensorPlacement { Source = t.IGatePreactBias, Vector = bias });
            _placements.Add(new TensorPlacement { Source = t.FGatePreactBias, Vector = bias + heads });
        }

        return new LinearWeights(matrix, bias);
    }

    private LinearWeights Linear(int rows, int cols, CheckpointTensor? weight, CheckpointTensor? bias) =>
        new(Matrix(rows, cols, _format, weight), _config.UseBias ? Vector(rows, bias) : null);

    private NormWeights Norm(int length, CheckpointTensor? weight, CheckpointTensor? bias) =>
        new(Vector(length, weight), _config.UseBias ? Vector(length, bias) : null);

    private PackedMatrix Matrix(int rows, int cols, WeightFormat format, CheckpointTensor? source = null)
    {
        var matrix = new PackedMatrix(Take(PackedMatrix.ByteLength(rows, cols, format)), rows, cols, format);
        if (source is not null)
        {
            _placements.Add(new TensorPlacement { Source = source, Matrix = matrix });
        }

        return matrix;
    }

    private float* Vector(int length, CheckpointTensor? source = null)
    {
        float* vector = (float*)Take(sizeof(float) * (long)length);
        if (source is not null)
        {
            _placements.Add(new TensorPlacement { Source = source, Vector = vector });
        }

        return vector;
    }

    private byte* Take(long byteLength)
    {
        byte* taken = _next;
        _next += (byteLength + NativeBuffer.Alignment - 1) / NativeBuffer.Alignment * NativeBuffer.Alignment;
        return taken;
    }
}
