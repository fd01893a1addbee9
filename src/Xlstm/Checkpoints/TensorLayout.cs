namespace Xlstm.Checkpoints;

/// <summary>One of the model's tensors inside a stored one.</summary>
/// <param name="Role">Which.</param>
/// <param name="Size">Its rows; elements for a vector.</param>
internal readonly record struct TensorPart(TensorRole Role, int Size);

/// <summary>A tensor that a checkpoint of a given config stores.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="Block">The block, or <see cref="TensorMap.NoBlock"/>.</param>
/// <param name="IsBias">A bias rather than a weight.</param>
/// <param name="Parts">What it holds, row range after row range: one part unless it is fused.</param>
/// <param name="Cols">Columns; 0 for a vector.</param>
internal sealed record StoredTensor(string Name, int Block, bool IsBias, TensorPart[] Parts, int Cols)
{
    /// <summary>One dimension rather than two.</summary>
    public bool IsVector => Cols == 0;

    /// <summary>Rows; elements for a vector.</summary>
    public long Rows => Parts.Sum(part => (long)part.Size);

    /// <summary>Elements in all.</summary>
    public long Elements => Rows * Math.Max(Cols, 1);

    /// <summary>Its shape in a file.</summary>
    public long[] Shape => IsVector ? [Rows] : [Rows, Cols];
}

/// <summary>Which tensors a model of a given config stores, by which names, in which shapes: the one list that reading and synthesizing share.</summary>
internal static class TensorLayout
{
    /// <summary>The tensors, embeddings first, in the order of the forward pass.</summary>
    /// <param name="config">Sizes; <see cref="XlstmConfig.WeightMode"/> says whether they are fused.</param>
    /// <param name="names">How they are called.</param>
    /// <param name="withLmHead">Whether lm_head.weight is stored.</param>
    public static IEnumerable<StoredTensor> Enumerate(XlstmConfig config, TensorNames names, bool withLmHead)
    {
        yield return Matrix(names.Embeddings, TensorMap.NoBlock, config.EmbeddingDim, (TensorRole.Embeddings, config.VocabSize));
        for (int block = 0; block < config.NumBlocks; block++)
        {
            foreach (StoredTensor tensor in Block(config, names, block))
            {
                yield return tensor;
            }
        }

        if (config.AddOutNorm)
        {
            foreach (StoredTensor tensor in Norm(config, names.OutNorm, TensorMap.NoBlock, TensorRole.OutNorm, config.EmbeddingDim))
            {
                yield return tensor;
            }
        }

        if (withLmHead)
        {
            yield return Matrix(TensorNames.LmHead, TensorMap.NoBlock, config.EmbeddingDim, (TensorRole.LmHead, config.VocabSize));
        }
    }

    /// <summary>What decides the number of rows of a role, in the words of config.json.</summary>
    public static string RowsMeaning(TensorRole role) => role switch
    {
        TensorRole.Embeddings or TensorRole.LmHead => "vocab_size",
        TensorRole.Q or TensorRole.K => "hidden_size * qk_dim_factor",
        TensorRole.V or TensorRole.OGatePreact or TensorRole.MultiheadNorm => "hidden_size * v_dim_factor",
        TensorRole.IGatePreact or TensorRole.FGatePreact => "num_heads",
        TensorRole.ProjUpGate or TensorRole.ProjUp => "hidden_size * ffn_proj_factor",
        TensorRole.NormMlstm or TensorRole.OutProj or TensorRole.NormFfn or TensorRole.ProjDown or TensorRole.OutNorm => "hidden_size",
        _ => throw new ArgumentOutOfRangeException(nameof(role)),
    };

    /// <summary>What decides the number of columns of a role, in the words of config.json.</summary>
    public static string ColsMeaning(TensorRole role) => role switch
    {
        TensorRole.OutProj => RowsMeaning(TensorRole.V),
        TensorRole.ProjDown => RowsMeaning(TensorRole.ProjUp),
        _ => "hidden_size",
    };

    private static IEnumerable<StoredTensor> Block(XlstmConfig config, TensorNames names, int block)
    {
        string prefix = names.Block(block);
        string mlstm = prefix + "mlstm_layer.";
        string ffn = prefix + "ffn.";
        int d = config.EmbeddingDim;
        TensorPart q = new(TensorRole.Q, config.QkDim), k = new(TensorRole.K, config.QkDim);
        TensorPart v = new(TensorRole.V, config.VDim), o = new(TensorRole.OGatePreact, config.VDim);
        TensorPart i = new(TensorRole.IGatePreact, config.NumHeads), f = new(TensorRole.FGatePreact, config.NumHeads);
        TensorPart gate = new(TensorRole.ProjUpGate, config.FfnDim), up = new(TensorRole.ProjUp, config.FfnDim);
        bool bias = config.UseBias;

        IEnumerable<StoredTensor> tensors =
        [
            .. Norm(config, prefix + "norm_mlstm", block, TensorRole.NormMlstm, d),
            .. config.WeightMode == WeightMode.Fused
                ?
                [
                    .. Linear(mlstm + TensorNames.FusedQkvO, block, d, bias, q, k, v, o),
                    .. Linear(mlstm + TensorNames.FusedIF, block, d, bias: true, i, f),
                ]
                : (IEnumerable<StoredTensor>)
                [
                    .. Linear(mlstm + names.Q, block, d, bias, q),
                    .. Linear(mlstm + names.K, block, d, bias, k),
                    .. Linear(mlstm + names.V, block, d, bias, v),
                    .. Linear(mlstm + "ogate_preact", block, d, bias, o),
                    .. Linear(mlstm + "igate_preact", block, d, bias: true, i),
                    .. Linear(mlstm + "fgate_preact", block, d, bias: true, f),
                ],
            .. Norm(config, mlstm + "multihead_norm", block, TensorRole.MultiheadNorm, config.VDim),
            .. Linear(mlstm + "out_proj", block, config.VDim, bias, new TensorPart(TensorRole.OutProj, d)),
            .. Norm(config, prefix + "norm_ffn", block, TensorRole.NormFfn, d),
            .. config.WeightMode == WeightMode.Fused
                ? Linear(ffn + TensorNames.FusedGateUp, block, d, bias, gate, up)
                : [.. Linear(ffn + "proj_up_gate", block, d, bias, gate), .. Linear(ffn + "proj_up", block, d, bias, up)],
            .. Linear(ffn + "proj_down", block, config.FfnDim, bias, new TensorPart(TensorRole.ProjDown, d)),
        ];
        return tensors;
    }

    private static IEnumerable<StoredTensor> Norm(XlstmConfig config, string name, int block, TensorRole role, int size)
    {
        yield return new StoredTensor(name + ".weight", block, IsBias: false, [new TensorPart(role, size)], Cols: 0);
        if (config.UseBias)
        {
            yield return new StoredTensor(name + ".bias", block, IsBias: true, [new TensorPart(role, size)], Cols: 0);
        }
    }

    private static IEnumerable<StoredTensor> Linear(string name, int block, int cols, bool bias, params TensorPart[] parts)
    {
        yield return new StoredTensor(name + ".weight", block, IsBias: false, parts, cols);
        if (bias)
        {
            yield return new StoredTensor(name + ".bias", block, IsBias: true, parts, Cols: 0);
        }
    }

    private static StoredTensor Matrix(string name, int block, int cols, (TensorRole Role, int Size) part) =>
        new(name, block, IsBias: false, [new TensorPart(part.Role, part.Size)], cols);
}
