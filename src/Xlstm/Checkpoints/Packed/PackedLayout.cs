namespace Xlstm.Checkpoints.Packed;

/// <summary>One packed matrix or vector and its place among all weights.</summary>
/// <param name="Name">The checkpoint's name for it; the i and f gates are <c>ifgate_preact</c>, as in fused checkpoints.</param>
/// <param name="Block">The block, or <see cref="TensorMap.NoBlock"/>.</param>
/// <param name="Role">What it does; <see cref="TensorRole.IGatePreact"/> stands for both gates, i rows first.</param>
/// <param name="IsBias">A bias rather than a weight.</param>
/// <param name="Format">How it is held.</param>
/// <param name="Rows">Rows of a matrix; 0 for a vector.</param>
/// <param name="Cols">Columns; elements of a vector.</param>
/// <param name="Offset">First byte.</param>
internal sealed record PackedTensor(string Name, int Block, TensorRole Role, bool IsBias, WeightFormat Format, int Rows, int Cols, long Offset)
{
    /// <summary>One dimension rather than two.</summary>
    public bool IsVector => Rows == 0;

    /// <summary>Bytes.</summary>
    public long ByteLength => IsVector ? sizeof(float) * (long)Cols : PackedMatrix.ByteLength(Rows, Cols, Format);

    /// <summary>The matrix in memory that holds all weights.</summary>
    public unsafe PackedMatrix Matrix(byte* memory) => new(memory + Offset, Rows, Cols, Format);

    /// <summary>The vector in memory that holds all weights.</summary>
    public unsafe float* Vector(byte* memory) => (float*)(memory + Offset);
}

/// <summary>
/// Where every weight of a model lies, in memory and in a packed file alike: all matrices in the order of the forward pass, then
/// all vectors. Every matrix starts at a multiple of 64 bytes, since every panel is one.
/// </summary>
internal sealed class PackedLayout
{
    private readonly Dictionary<(int Block, TensorRole Role, bool IsBias), PackedTensor> _byRole = [];

    public PackedLayout(XlstmConfig config, WeightRecipe recipe)
    {
        (Config, Recipe) = (config, recipe);
        var tensors = new List<PackedTensor>();
        long offset = 0;
        PackedTensor[] all = [.. Enumerate(config, recipe)];
        foreach (PackedTensor tensor in all.Where(t => !t.IsVector).Concat(all.Where(t => t.IsVector)))
        {
            PackedTensor placed = tensor with { Offset = offset };
            tensors.Add(placed);
            _byRole.Add((tensor.Block, tensor.Role, tensor.IsBias), placed);
            offset += tensor.ByteLength;
        }

        Tensors = tensors;
        ByteLength = offset;
    }

    /// <summary>The model's sizes.</summary>
    public XlstmConfig Config { get; }

    /// <summary>How its matrices are held.</summary>
    public WeightRecipe Recipe { get; }

    /// <summary>All tensors in order of their places.</summary>
    public IReadOnlyList<PackedTensor> Tensors { get; }

    /// <summary>Bytes of all weights.</summary>
    public long ByteLength { get; }

    /// <summary>The tensor, or null when the model has none.</summary>
    public PackedTensor? Find(int block, TensorRole role, bool isBias = false) => _byRole.GetValueOrDefault((block, role, isBias));

    /// <summary>The tensor, which every model has.</summary>
    public PackedTensor Get(int block, TensorRole role, bool isBias = false) => _byRole[(block, role, isBias)];

    private static IEnumerable<PackedTensor> Enumerate(XlstmConfig c, WeightRecipe recipe)
    {
        yield return Matrix("backbone.embeddings", TensorMap.NoBlock, TensorRole.Embeddings, c.VocabSize, c.EmbeddingDim);
        for (int block = 0; block < c.NumBlocks; block++)
        {
            string prefix = TensorNames.HuggingFace.Block(block), mlstm = prefix + "mlstm_layer.", ffn = prefix + "ffn.";
            IEnumerable<PackedTensor> tensors =
            [
                .. Norm(prefix + "norm_mlstm", block, TensorRole.NormMlstm, c.EmbeddingDim),
                .. Linear(mlstm + "q", block, TensorRole.Q, c.QkDim, c.EmbeddingDim),
                .. Linear(mlstm + "k", block, TensorRole.K, c.QkDim, c.EmbeddingDim),
                .. Linear(mlstm + "v", block, TensorRole.V, c.VDim, c.EmbeddingDim),
                .. Linear(mlstm + "ogate_preact", block, TensorRole.OGatePreact, c.VDim, c.EmbeddingDim),
                Matrix(mlstm + TensorNames.FusedIF, block, TensorRole.IGatePreact, 2 * c.NumHeads, c.EmbeddingDim),
                Vector(mlstm + TensorNames.FusedIF + ".bias", block, TensorRole.IGatePreact, isBias: true, 2 * c.NumHeads),
                .. Norm(mlstm + "multihead_norm", block, TensorRole.MultiheadNorm, c.VDim),
                .. Linear(mlstm + "out_proj", block, TensorRole.OutProj, c.EmbeddingDim, c.VDim),
                .. Norm(prefix + "norm_ffn", block, TensorRole.NormFfn, c.EmbeddingDim),
                .. Linear(ffn + "proj_up_gate", block, TensorRole.ProjUpGate, c.FfnDim, c.EmbeddingDim),
                .. Linear(ffn + "proj_up", block, TensorRole.ProjUp, c.FfnDim, c.EmbeddingDim),
                .. Linear(ffn + "proj_down", block, TensorRole.ProjDown, c.EmbeddingDim, c.FfnDim),
            ];
            foreach (PackedTensor tensor in tensors)
            {
                yield return tensor;
            }
        }

        if (c.AddOutNorm)
        {
            foreach (PackedTensor tensor in Norm("backbone.out_norm", TensorMap.NoBlock, TensorRole.OutNorm, c.EmbeddingDim))
            {
                yield return tensor;
            }
        }

        if (!c.TieWordEmbeddings)
        {
            yield return Matrix("lm_head", TensorMap.NoBlock, TensorRole.LmHead, c.VocabSize, c.EmbeddingDim);
        }

        PackedTensor Matrix(string name, int block, TensorRole role, int rows, int cols) =>
            new(name + ".weight", block, role, IsBias: false, recipe.Of(role), rows, cols, Offset: 0);

        IEnumerable<PackedTensor> Linear(string name, int block, TensorRole role, int rows, int cols) =>
            WithBias(Matrix(name, block, role, rows, cols), name, rows);

        IEnumerable<PackedTensor> Norm(string name, int block, TensorRole role, int length) =>
            WithBias(Vector(name + ".weight", block, role, isBias: false, length), name, length);

        IEnumerable<PackedTensor> WithBias(PackedTensor weight, string name, int length) =>
            c.UseBias ? [weight, Vector(name + ".bias", weight.Block, weight.Role, isBias: true, length)] : [weight];
    }

    private static PackedTensor Vector(string name, int block, TensorRole role, bool isBias, int length) =>
        new(name, block, role, isBias, WeightFormat.Float32, Rows: 0, length, Offset: 0);
}
