using Xlstm.Checkpoints;

namespace Xlstm.Backends.Cpu;

/// <summary>One packed matrix or vector and its place in the memory of all weights.</summary>
/// <param name="Name">The checkpoint's name; the i and f gates are <c>ifgate_preact</c>, as in fused checkpoints.</param>
/// <param name="Format">How it is held.</param>
/// <param name="Rows">Rows of a matrix; 0 for a vector.</param>
/// <param name="Cols">Columns; elements of a vector.</param>
/// <param name="Offset">First byte.</param>
/// <param name="ByteLength">Bytes.</param>
internal sealed record PackedTensor(string Name, WeightFormat Format, int Rows, int Cols, long Offset, long ByteLength);

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

    /// <summary>How much an error in each of the matrix's columns matters, or null.</summary>
    public float[]? Importance { get; init; }
}

/// <summary>
/// Where every weight lies in one piece of memory, and in a packed file: all matrices in the order of the forward pass, then
/// all vectors. The same walk over the model measures, lists the tensors, binds the weights to their addresses and says which
/// stored tensor fills which place.
/// </summary>
internal sealed unsafe class WeightLayout
{
    private readonly XlstmConfig _config;
    private readonly WeightRecipe _recipe;
    private readonly Checkpoint? _checkpoint;
    private readonly ActivationStatistics? _statistics;
    private readonly byte* _memory;
    private readonly List<TensorPlacement> _placements = [];
    private readonly List<PackedTensor> _tensors = [];
    private long _nextMatrix;
    private long _nextVector;

    private WeightLayout(XlstmConfig config, WeightRecipe recipe, byte* memory, long vectors, Checkpoint? checkpoint, ActivationStatistics? statistics)
    {
        (_config, _recipe, _checkpoint, _statistics) = (config, recipe, checkpoint, statistics);
        _memory = memory;
        _nextVector = vectors;
    }

    /// <summary>The tensors of a model's weights in order of their places; the last one's end is the length of the whole.</summary>
    public static IReadOnlyList<PackedTensor> List(XlstmConfig config, WeightRecipe recipe)
    {
        // Walked from a made-up address: null stands for "no bias".
        var first = new WeightLayout(config, recipe, (byte*)NativeBuffer.Alignment, 0, null, null);
        _ = first.Lay();
        var second = new WeightLayout(config, recipe, (byte*)NativeBuffer.Alignment, first._nextMatrix, null, null);
        _ = second.Lay();
        return [.. second._tensors.OrderBy(tensor => tensor.Offset)];
    }

    /// <summary>Bytes that a model's weights take.</summary>
    public static long Measure(XlstmConfig config, WeightRecipe recipe)
    {
        PackedTensor last = List(config, recipe)[^1];
        return last.Offset + last.ByteLength;
    }

    /// <summary>Finds the weights in memory that holds them, or will.</summary>
    /// <param name="config">The model's sizes.</param>
    /// <param name="recipe">How its weights are held.</param>
    /// <param name="memory"><see cref="Measure"/> bytes.</param>
    public static CpuWeights Bind(XlstmConfig config, WeightRecipe recipe, byte* memory) =>
        new WeightLayout(config, recipe, memory, MatrixBytes(config, recipe), null, null).Lay();

    /// <summary>Lists what a checkpoint's tensors fill.</summary>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="recipe">How its weights are to be held.</param>
    /// <param name="memory"><see cref="Measure"/> bytes.</param>
    /// <param name="statistics">Calibration, or null.</param>
    public static (CpuWeights Weights, IReadOnlyList<TensorPlacement> Placements) Place(Checkpoint checkpoint, WeightRecipe recipe, byte* memory, ActivationStatistics? statistics)
    {
        var layout = new WeightLayout(checkpoint.Config, recipe, memory, MatrixBytes(checkpoint.Config, recipe), checkpoint, statistics);
        return (layout.Lay(), layout._placements);
    }

    private static long MatrixBytes(XlstmConfig config, WeightRecipe recipe) =>
        List(config, recipe).Where(tensor => tensor.Rows > 0).Sum(tensor => tensor.ByteLength);

    private CpuWeights Lay()
    {
        XlstmConfig c = _config;
        PackedMatrix embeddings = Matrix("backbone.embeddings", c.VocabSize, c.EmbeddingDim, _recipe.Outer, _checkpoint?.Embeddings);
        var blocks = new CpuBlockWeights[c.NumBlocks];
        for (int i = 0; i < blocks.Length; i++)
        {
            blocks[i] = Block(i, _checkpoint?.Blocks[i]);
        }

        return new CpuWeights
        {
            Recipe = _recipe,
            Embeddings = embeddings,
            Blocks = blocks,
            OutNorm = c.AddOutNorm ? Norm("backbone.out_norm", c.EmbeddingDim, _checkpoint?.OutNorm, _checkpoint?.OutNormBias) : default,
            LmHead = c.TieWordEmbeddings ? embeddings : Matrix("lm_head", c.VocabSize, c.EmbeddingDim, _recipe.Outer, _checkpoint?.LmHead),
        };
    }

    private CpuBlockWeights Block(int block, BlockTensors? t)
    {
        XlstmConfig c = _config;
        string prefix = $"backbone.blocks.{block}.", mlstm = prefix + "mlstm_layer.", ffn = prefix + "ffn.";
        float[]? Importance(MatrixInput input) => _statistics?.Importance(block, input);
        float[]? x1 = Importance(MatrixInput.NormMlstm), y = Importance(MatrixInput.GatedHeads), x2 = Importance(MatrixInput.NormFfn), z = Importance(MatrixInput.SwiGlu);
        return new CpuBlockWeights
        {
            NormMlstm = Norm(prefix + "norm_mlstm", c.EmbeddingDim, t?.NormMlstm, t?.NormMlstmBias),
            Q = Linear(mlstm + "q", c.QkDim, c.EmbeddingDim, _recipe.Inner, t?.Q, t?.QBias, x1),
            K = Linear(mlstm + "k", c.QkDim, c.EmbeddingDim, _recipe.Inner, t?.K, t?.KBias, x1),
            V = Linear(mlstm + "v", c.VDim, c.EmbeddingDim, _recipe.Inner, t?.V, t?.VBias, x1),
            OGatePreact = Linear(mlstm + "ogate_preact", c.VDim, c.EmbeddingDim, _recipe.Inner, t?.OGatePreact, t?.OGatePreactBias, x1),
            IfGatePreact = Gates(mlstm + "ifgate_preact", t),
            MultiheadNorm = Norm(mlstm + "multihead_norm", c.VDim, t?.MultiheadNorm, t?.MultiheadNormBias),
            OutProj = Linear(mlstm + "out_proj", c.EmbeddingDim, c.VDim, _recipe.Residual, t?.OutProj, t?.OutProjBias, y),
            NormFfn = Norm(prefix + "norm_ffn", c.EmbeddingDim, t?.NormFfn, t?.NormFfnBias),
            ProjUpGate = Linear(ffn + "proj_up_gate", c.FfnDim, c.EmbeddingDim, _recipe.Inner, t?.ProjUpGate, t?.ProjUpGateBias, x2),
            ProjUp = Linear(ffn + "proj_up", c.FfnDim, c.EmbeddingDim, _recipe.Inner, t?.ProjUp, t?.ProjUpBias, x2),
            ProjDown = Linear(ffn + "proj_down", c.EmbeddingDim, c.FfnDim, _recipe.Residual, t?.ProjDown, t?.ProjDownBias, z),
        };
    }

    private LinearWeights Gates(string name, BlockTensors? t)
    {
        int heads = _config.NumHeads;
        PackedMatrix matrix = Matrix(name, 2 * heads, _config.EmbeddingDim, WeightFormat.Float32);
        float* bias = Vector(name + ".bias", 2 * heads);
        if (t is not null)
        {
            _placements.Add(new TensorPlacement { Source = t.IGatePreact, Matrix = matrix });
            _placements.Add(new TensorPlacement { Source = t.FGatePreact, Matrix = matrix, FirstRow = heads });
            _placements.Add(new TensorPlacement { Source = t.IGatePreactBias, Vector = bias });
            _placements.Add(new TensorPlacement { Source = t.FGatePreactBias, Vector = bias + heads });
        }

        return new LinearWeights(matrix, bias);
    }

    private LinearWeights Linear(string name, int rows, int cols, WeightFormat format, CheckpointTensor? weight, CheckpointTensor? bias, float[]? importance) =>
        new(Matrix(name, rows, cols, format, weight, importance), _config.UseBias ? Vector(name + ".bias", rows, bias) : null);

    private NormWeights Norm(string name, int length, CheckpointTensor? weight, CheckpointTensor? bias) =>
        new(Vector(name + ".weight", length, weight), _config.UseBias ? Vector(name + ".bias", length, bias) : null);

    private PackedMatrix Matrix(string name, int rows, int cols, WeightFormat format, CheckpointTensor? source = null, float[]? importance = null)
    {
        var matrix = new PackedMatrix(Take(ref _nextMatrix, name + ".weight", format, rows, cols, PackedMatrix.ByteLength(rows, cols, format)), rows, cols, format);
        if (source is not null)
        {
            _placements.Add(new TensorPlacement { Source = source, Matrix = matrix, Importance = importance });
        }

        return matrix;
    }

    private float* Vector(string name, int length, CheckpointTensor? source = null)
    {
        float* vector = (float*)Take(ref _nextVector, name, WeightFormat.Float32, 0, length, sizeof(float) * (long)length);
        if (source is not null)
        {
            _placements.Add(new TensorPlacement { Source = source, Vector = vector });
        }

        return vector;
    }

    private byte* Take(ref long next, string name, WeightFormat format, int rows, int cols, long byteLength)
    {
        byte* taken = _memory + next;
        _tensors.Add(new PackedTensor(name, format, rows, cols, next, byteLength));
        next += byteLength;
        return taken;
    }
}
