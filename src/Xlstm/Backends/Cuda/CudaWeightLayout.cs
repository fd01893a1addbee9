using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cuda;

/// <summary>A stored tensor and where it goes on the device.</summary>
/// <param name="Source">What is read.</param>
/// <param name="Packed">The same in a packed file, if it is held there as it will be on the device: its panels are read instead.</param>
/// <param name="Address">Rows: of row 0 of the matrix. Panels: of the source's first.</param>
/// <param name="Format">Of the elements there.</param>
/// <param name="FirstRow">Rows: the matrix's row that the source's first row becomes.</param>
/// <param name="RowStep">Rows: 1, or 2 where two matrices alternate.</param>
/// <param name="Stride">Elements from one row to the next.</param>
/// <param name="Transposed">A vector whose elements become rows of one element.</param>
internal sealed record CudaPlacement(
    CheckpointTensor Source, PackedTensor? Packed, ulong Address, WeightFormat Format, int FirstRow, int RowStep, int Stride, bool Transposed = false)
{
    /// <summary>Whether the device holds it in panels.</summary>
    public bool IsQuantized => Format is WeightFormat.Int8 or WeightFormat.Int4;

    /// <summary>Bytes of the first rows as they lie in the file.</summary>
    public long BytesOf(int rows) => Packed is null ? Source.BytesOf(rows) : SentBytes(rows);

    /// <summary>Bytes of the first rows as they are sent to the device.</summary>
    public long SentBytes(int rows) =>
        Packed is not null || IsQuantized ? PackedMatrix.ByteLength(rows, Source.Cols, Format) : Source.BytesOf(rows);

    /// <summary>Rows that fit a number of bytes, at least one, or whole panels, at least one.</summary>
    public int ChunkRows(long bytes) => Packed is not null || IsQuantized
        ? (int)Math.Clamp(bytes / PackedMatrix.PanelByteLength(Source.Cols, Format), 1, 1 << 20) * PackedMatrix.PanelRows
        : (int)Math.Clamp(bytes / Source.BytesOf(1), 1, 1 << 24);
}

/// <summary>Where every weight lies in one piece of device memory. The same walk over the model measures, binds and lists what goes where.</summary>
internal sealed class CudaWeightLayout
{
    private const int Alignment = 256;

    private readonly XlstmConfig _config;
    private readonly WeightRecipe _recipe;
    private readonly ModelStage _stage;
    private readonly Checkpoint? _checkpoint;
    private readonly List<CudaPlacement> _placements = [];
    private ulong _next;

    private CudaWeightLayout(XlstmConfig config, WeightRecipe recipe, ModelStage stage, Checkpoint? checkpoint, ulong start)
    {
        (_config, _recipe, _stage, _checkpoint, _next) = (config, recipe, stage, checkpoint, start);
    }

    /// <summary>How a checkpoint's matrices will be held: a packed folder in its own format keeps its mix.</summary>
    public static WeightRecipe RecipeOf(Checkpoint checkpoint, WeightRecipe wanted) =>
        checkpoint.Packed?.Layout.Recipe is { } packed && packed.Format == wanted.Format ? packed : wanted;

    /// <summary>Bytes that a stage's weights take.</summary>
    public static long Measure(XlstmConfig config, WeightRecipe recipe, ModelStage stage)
    {
        var layout = new CudaWeightLayout(config, recipe, stage, null, Alignment);
        layout.Lay(null).Dispose();
        return (long)layout._next - Alignment;
    }

    /// <summary>Lays a checkpoint's weights out.</summary>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="recipe">How the matrices are held.</param>
    /// <param name="stage">Which of them.</param>
    /// <param name="memory">Of <see cref="Measure"/> bytes; owned by the weights from here on.</param>
    public static (CudaWeights Weights, IReadOnlyList<CudaPlacement> Placements) Bind(Checkpoint checkpoint, WeightRecipe recipe, ModelStage stage, DeviceBuffer memory)
    {
        var layout = new CudaWeightLayout(checkpoint.Config, recipe, stage, checkpoint, memory.Address);
        return (layout.Lay(memory), layout._placements);
    }

    private CudaWeights Lay(DeviceBuffer? memory)
    {
        XlstmConfig c = _config;
        CudaMatrix embeddings = _stage.HasEmbeddings ? Outer(TensorRole.Embeddings) : default;
        var blocks = new CudaBlockWeights[_stage.Blocks];
        for (int i = 0; i < blocks.Length; i++)
        {
            int block = _stage.FirstBlock + i;
            blocks[i] = new CudaBlockWeights
            {
                NormMlstm = Norm(block, TensorRole.NormMlstm, c.EmbeddingDim),
                Qkvo = Stacked(
                    block,
                    c.EmbeddingDim,
                    c.UseBias,
                    new CudaParts(c.QkDim, c.QkDim, c.VDim, c.VDim),
                    TensorRole.Q,
                    TensorRole.K,
                    TensorRole.V,
                    TensorRole.OGatePreact),
                Gates = Stacked(
                    block, c.EmbeddingDim, hasBias: true, new CudaParts(c.NumHeads, c.NumHeads), TensorRole.IGatePreact, TensorRole.FGatePreact),
                MultiheadNorm = Norm(block, TensorRole.MultiheadNorm, c.VDim),
                OutProj = Stacked(block, c.VDim, c.UseBias, new CudaParts(c.EmbeddingDim), TensorRole.OutProj),
                NormFfn = Norm(block, TensorRole.NormFfn, c.EmbeddingDim),
                GateUp = GateUp(block),
                ProjDown = Stacked(block, c.FfnDim, c.UseBias, new CudaParts(c.EmbeddingDim), TensorRole.ProjDown),
            };
        }

        return new CudaWeights
        {
            Recipe = _recipe,
            Memory = memory,
            Embeddings = embeddings,
            Blocks = blocks,
            OutNorm = _stage.HasHead && c.AddOutNorm ? Norm(TensorMap.NoBlock, TensorRole.OutNorm, c.EmbeddingDim) : default,
            LmHead = !_stage.HasHead ? default
                : c.TieWordEmbeddings && _stage.HasEmbeddings ? embeddings
                : Outer(c.TieWordEmbeddings ? TensorRole.Embeddings : TensorRole.LmHead),
        };
    }

    /// <summary>The embeddings or lm_head.</summary>
    private CudaMatrix Outer(TensorRole role) =>
        Stacked(TensorMap.NoBlock, _config.EmbeddingDim, hasBias: false, new CudaParts(_config.VocabSize), role);

    /// <summary>Matrices one under the other, all in one format.</summary>
    private CudaMatrix Stacked(int block, int cols, bool hasBias, CudaParts parts, params ReadOnlySpan<TensorRole> roles)
    {
        WeightFormat format = _recipe.Of(roles[0]);
        CudaMatrix matrix = Take(format, cols, hasBias, parts);
        int first = 0;
        ulong address = matrix.Address;
        ReadOnlySpan<int> rows = [parts.First, parts.Second, parts.Third, parts.Fourth];
        for (int i = 0; i < roles.Length; i++)
        {
            Place(block, roles[i], isBias: false, address, format, first, matrix.Stride);
            Place(block, roles[i], isBias: true, matrix.Bias + (sizeof(float) * (ulong)first), WeightFormat.Float32, 0, stride: rows[i]);
            first += rows[i];
            address += matrix.IsQuantized ? (ulong)(PackedMatrix.PanelCount(rows[i]) * matrix.PanelBytes) : 0;
        }

        return matrix;
    }

    /// <summary>proj_up_gate and proj_up: rows in turn, panels one after the other; biases always in turn.</summary>
    private CudaMatrix GateUp(int block)
    {
        XlstmConfig c = _config;
        CudaMatrix matrix = Take(_recipe.Of(TensorRole.ProjUpGate), c.EmbeddingDim, c.UseBias, new CudaParts(c.FfnDim, c.FfnDim));
        ReadOnlySpan<TensorRole> roles = [TensorRole.ProjUpGate, TensorRole.ProjUp];
        for (int i = 0; i < roles.Length; i++)
        {
            ulong panels = matrix.IsQuantized ? matrix.Address + (ulong)(i * matrix.ByteLength / 2) : matrix.Address;
            Place(block, roles[i], isBias: false, panels, matrix.Format, i, matrix.Stride, rowStep: 2);
            Place(block, roles[i], isBias: true, matrix.Bias, WeightFormat.Float32, i, stride: 1, rowStep: 2, transposed: true);
        }

        return matrix;
    }

    private CudaNorm Norm(int block, TensorRole role, int length)
    {
        ulong weights = Take(sizeof(float) * (long)length);
        Place(block, role, isBias: false, weights, WeightFormat.Float32, 0, length);
        ulong biases = _config.UseBias ? Take(sizeof(float) * (long)length) : 0;
        Place(block, role, isBias: true, biases, WeightFormat.Float32, 0, length);
        return new CudaNorm(weights, biases);
    }

    private CudaMatrix Take(WeightFormat format, int cols, bool hasBias, CudaParts parts)
    {
        ulong address = Take(new CudaMatrix(0, format, parts, cols).ByteLength);
        return new CudaMatrix(address, format, parts, cols, hasBias ? Take(sizeof(float) * (long)parts.Rows) : 0);
    }

    private void Place(int block, TensorRole role, bool isBias, ulong address, WeightFormat format, int firstRow, int stride, int rowStep = 1, bool transposed = false)
    {
        if (_checkpoint?.Tensors.Find(block, role, isBias) is { } source)
        {
            PackedTensor? packed = _checkpoint.Packed?.Layout.Find(block, role, isBias) is { IsVector: false } found && found.Format == format ? found : null;

            // A packed file has both gates in one matrix, whose second half need not start with a panel.
            bool asPanels = packed is not null && role is not (TensorRole.IGatePreact or TensorRole.FGatePreact);
            _placements.Add(new CudaPlacement(source, asPanels ? packed : null, address, format, firstRow, rowStep, stride, transposed));
        }
    }

    private ulong Take(long byteLength)
    {
        ulong taken = _next;
        _next += ((ulong)byteLength + Alignment - 1) / Alignment * Alignment;
        return taken;
    }
}
