using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints;

namespace Xlstm.Backends.Cuda;

/// <summary>A stored tensor and where its rows go on the device.</summary>
/// <param name="Source">What is read.</param>
/// <param name="Address">Of row 0 of the matrix.</param>
/// <param name="Format">Of the elements there.</param>
/// <param name="FirstRow">The matrix's row that the source's first row becomes.</param>
/// <param name="RowStep">1, or 2 where two matrices alternate.</param>
/// <param name="Stride">Elements from one row to the next.</param>
/// <param name="Transposed">A vector whose elements become rows of one element.</param>
internal sealed record CudaPlacement(CheckpointTensor Source, ulong Address, WeightFormat Format, int FirstRow, int RowStep, int Stride, bool Transposed);

/// <summary>Where every weight lies in one piece of device memory. The same walk over the model measures, binds and lists what goes where.</summary>
internal sealed class CudaWeightLayout
{
    private const int Alignment = 256;

    private readonly XlstmConfig _config;
    private readonly WeightFormat _format;
    private readonly ModelStage _stage;
    private readonly Checkpoint? _checkpoint;
    private readonly List<CudaPlacement> _placements = [];
    private ulong _next;

    private CudaWeightLayout(XlstmConfig config, WeightFormat format, ModelStage stage, Checkpoint? checkpoint, ulong start)
    {
        (_config, _format, _stage, _checkpoint, _next) = (config, format, stage, checkpoint, start);
    }

    /// <summary>Bytes that a stage's weights take.</summary>
    public static long Measure(XlstmConfig config, WeightFormat format, ModelStage stage)
    {
        var layout = new CudaWeightLayout(config, format, stage, null, Alignment);
        layout.Lay(null).Dispose();
        return (long)layout._next - Alignment;
    }

    /// <summary>Lays a checkpoint's weights out.</summary>
    /// <param name="checkpoint">An opened checkpoint.</param>
    /// <param name="format">How the matrices are held.</param>
    /// <param name="stage">Which of them.</param>
    /// <param name="memory">Of <see cref="Measure"/> bytes; owned by the weights from here on.</param>
    public static (CudaWeights Weights, IReadOnlyList<CudaPlacement> Placements) Bind(Checkpoint checkpoint, WeightFormat format, ModelStage stage, DeviceBuffer memory)
    {
        var layout = new CudaWeightLayout(checkpoint.Config, format, stage, checkpoint, memory.Address);
        return (layout.Lay(memory), layout._placements);
    }

    private CudaWeights Lay(DeviceBuffer? memory)
    {
        XlstmConfig c = _config;
        CudaMatrix embeddings = _stage.HasEmbeddings ? Matrix(c.VocabSize, c.EmbeddingDim, _checkpoint?.Embeddings) : default;
        var blocks = new CudaBlockWeights[_stage.Blocks];
        for (int i = 0; i < blocks.Length; i++)
        {
            BlockTensors? t = _checkpoint?.Blocks[_stage.FirstBlock + i];
            blocks[i] = new CudaBlockWeights
            {
                NormMlstm = Norm(c.EmbeddingDim, t?.NormMlstm, t?.NormMlstmBias),
                Qkvo = Stacked(
                    c.EmbeddingDim,
                    _format,
                    c.UseBias,
                    (c.QkDim, t?.Q, t?.QBias),
                    (c.QkDim, t?.K, t?.KBias),
                    (c.VDim, t?.V, t?.VBias),
                    (c.VDim, t?.OGatePreact, t?.OGatePreactBias)),
                Gates = Stacked(
                    c.EmbeddingDim, WeightFormat.Float32, hasBias: true, (c.NumHeads, t?.IGatePreact, t?.IGatePreactBias), (c.NumHeads, t?.FGatePreact, t?.FGatePreactBias)),
                MultiheadNorm = Norm(c.VDim, t?.MultiheadNorm, t?.MultiheadNormBias),
                OutProj = Stacked(c.VDim, _format, c.UseBias, (c.EmbeddingDim, t?.OutProj, t?.OutProjBias)),
                NormFfn = Norm(c.EmbeddingDim, t?.NormFfn, t?.NormFfnBias),
                GateUp = Alternating(c.EmbeddingDim, c.FfnDim, (t?.ProjUpGate, t?.ProjUpGateBias), (t?.ProjUp, t?.ProjUpBias)),
                ProjDown = Stacked(c.FfnDim, _format, c.UseBias, (c.EmbeddingDim, t?.ProjDown, t?.ProjDownBias)),
            };
        }

        return new CudaWeights
        {
            Format = _format,
            Memory = memory,
            Embeddings = embeddings,
            Blocks = blocks,
            OutNorm = _stage.HasHead && c.AddOutNorm ? Norm(c.EmbeddingDim, _checkpoint?.OutNorm, _checkpoint?.OutNormBias) : default,
            LmHead = !_stage.HasHead ? default
                : c.TieWordEmbeddings && _stage.HasEmbeddings ? embeddings
                : Matrix(c.VocabSize, c.EmbeddingDim, c.TieWordEmbeddings ? _checkpoint?.Embeddings : _checkpoint?.LmHead),
        };
    }

    private CudaMatrix Matrix(int rows, int cols, CheckpointTensor? source) => Stacked(cols, _format, hasBias: false, (rows, source, null));

    /// <summary>Matrices one under the other.</summary>
    private CudaMatrix Stacked(int cols, WeightFormat format, bool hasBias, params ReadOnlySpan<(int Rows, CheckpointTensor? Weight, CheckpointTensor? Bias)> parts)
    {
        int rows = 0;
        foreach ((int partRows, _, _) in parts)
        {
            rows += partRows;
        }

        CudaMatrix matrix = TakeMatrix(rows, cols, format, hasBias);
        int first = 0;
        foreach ((int partRows, CheckpointTensor? weight, CheckpointTensor? bias) in parts)
        {
            Place(weight, matrix.Address, format, first, rowStep: 1, matrix.Stride);
            Place(bias, matrix.Bias + (sizeof(float) * (ulong)first), WeightFormat.Float32, 0, rowStep: 1, stride: partRows);
            first += partRows;
        }

        return matrix;
    }

    /// <summary>Two matrices row by row in turn.</summary>
    private CudaMatrix Alternating(int cols, int rows, params ReadOnlySpan<(CheckpointTensor? Weight, CheckpointTensor? Bias)> parts)
    {
        CudaMatrix matrix = TakeMatrix(2 * rows, cols, _format, _config.UseBias);
        for (int i = 0; i < parts.Length; i++)
        {
            Place(parts[i].Weight, matrix.Address, _format, i, rowStep: 2, matrix.Stride);
            Place(parts[i].Bias, matrix.Bias, WeightFormat.Float32, i, rowStep: 2, stride: 1, transposed: true);
        }

        return matrix;
    }

    private CudaNorm Norm(int length, CheckpointTensor? weight, CheckpointTensor? bias)
    {
        ulong weights = Take(sizeof(float) * (long)length);
        Place(weight, weights, WeightFormat.Float32, 0, rowStep: 1, length);
        ulong biases = _config.UseBias ? Take(sizeof(float) * (long)length) : 0;
        Place(bias, biases, WeightFormat.Float32, 0, rowStep: 1, length);
        return new CudaNorm(weights, biases);
    }

    private CudaMatrix TakeMatrix(int rows, int cols, WeightFormat format, bool hasBias)
    {
        int size = format == WeightFormat.Float32 ? sizeof(float) : sizeof(ushort);
        ulong address = Take((long)rows * CudaMatrix.Pad(cols) * size);
        return new CudaMatrix(address, rows, cols, hasBias ? Take(sizeof(float) * (long)rows) : 0);
    }

    private void Place(CheckpointTensor? source, ulong address, WeightFormat format, int firstRow, int rowStep, int stride, bool transposed = false)
    {
        if (source is not null)
        {
            _placements.Add(new CudaPlacement(source, address, format, firstRow, rowStep, stride, transposed));
        }
    }

    private ulong Take(long byteLength)
    {
        ulong taken = _next;
        _next += ((ulong)byteLength + Alignment - 1) / Alignment * Alignment;
        return taken;
    }
}
