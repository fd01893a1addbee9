namespace Xlstm;

/// <summary>Whether a checkpoint stores q, k, v, o (and i, f; gate, up) as separate matrices or as one each.</summary>
public enum WeightMode
{
    /// <summary>One tensor a matrix.</summary>
    Single,

    /// <summary><c>qkv_opreact</c>, <c>ifgate_preact</c> and <c>ffn.proj_up_gate_z</c> hold several matrices, rows one after the other.</summary>
    Fused,
}

/// <summary>Sizes and constants of an xLSTM Large model, in the names of config.json.</summary>
public sealed record XlstmConfig
{
    /// <summary>D: <c>hidden_size</c> or <c>embedding_dim</c>.</summary>
    public required int EmbeddingDim { get; init; }

    /// <summary>L: <c>num_hidden_layers</c> or <c>num_blocks</c>.</summary>
    public required int NumBlocks { get; init; }

    /// <summary>H.</summary>
    public required int NumHeads { get; init; }

    /// <summary>V.</summary>
    public required int VocabSize { get; init; }

    /// <summary>QK / D.</summary>
    public double QkDimFactor { get; init; } = 0.5;

    /// <summary>VD / D.</summary>
    public double VDimFactor { get; init; } = 1.0;

    /// <summary>F / D before rounding up.</summary>
    public double FfnProjFactor { get; init; } = 2.667;

    /// <summary>F is a multiple of this.</summary>
    public int FfnRoundUpToMultipleOf { get; init; } = 64;

    /// <summary>Epsilon of every RMSNorm and of multihead_norm.</summary>
    public float NormEps { get; init; } = 1e-6f;

    /// <summary>Epsilon of the cell: added outside the max of its denominator.</summary>
    public float Eps { get; init; } = 1e-6f;

    /// <summary>c of <c>c tanh(z / c)</c> over the i and f gate preactivations; null is no cap.</summary>
    public float? GateSoftCap { get; init; } = 15f;

    /// <summary>c of <c>c tanh(z / c)</c> over the logits; null is no cap.</summary>
    public float? OutputLogitSoftCap { get; init; } = 30f;

    /// <summary>Every linear layer but lm_head, and every norm, has a bias.</summary>
    public bool UseBias { get; init; }

    /// <summary>An RMSNorm stands between the last block and lm_head.</summary>
    public bool AddOutNorm { get; init; } = true;

    /// <summary>lm_head uses the embedding's matrix.</summary>
    public bool TieWordEmbeddings { get; init; }

    /// <summary>As config.json says; the tensors win where they disagree.</summary>
    public WeightMode WeightMode { get; init; }

    /// <summary>QK: width of q and k over all heads.</summary>
    public int QkDim => (int)(EmbeddingDim * QkDimFactor);

    /// <summary>VD: width of v and o over all heads.</summary>
    public int VDim => (int)(EmbeddingDim * VDimFactor);

    /// <summary>dqk = QK / H.</summary>
    public int QkHeadDim => QkDim / NumHeads;

    /// <summary>dv = VD / H.</summary>
    public int VHeadDim => VDim / NumHeads;

    /// <summary>F: width of the feed-forward layer, <c>int(((D * ffn_proj_factor + r - 1) // r) * r)</c> in floating point, as the official code has it.</summary>
    public int FfnDim => (int)(Math.Floor(((EmbeddingDim * FfnProjFactor) + FfnRoundUpToMultipleOf - 1) / FfnRoundUpToMultipleOf) * FfnRoundUpToMultipleOf);

    /// <summary>Parameters of the whole model: embeddings, blocks, norms and, unless it is tied, lm_head.</summary>
    public long ParameterCount
    {
        get
        {
            long d = EmbeddingDim, qk = QkDim, vd = VDim, f = FfnDim, h = NumHeads, v = VocabSize;
            long block = (d * ((2 * qk) + (3 * vd) + (2 * h) + (3 * f))) + (2 * h) + (2 * d) + vd;
            long biases = (2 * qk) + (3 * vd) + (2 * f) + (4 * d);
            long outNorm = AddOutNorm ? (UseBias ? 2 * d : d) : 0;
            return ((TieWordEmbeddings ? 1 : 2) * v * d) + (NumBlocks * (block + (UseBias ? biases : 0))) + outNorm;
        }
    }

    /// <summary>Reads and checks a config.json.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="Checkpoints.CheckpointException">The file is missing, not JSON, contradictory, or asks for sizes that no model has.</exception>
    public static XlstmConfig Read(string path) => Checkpoints.ConfigReader.Read(path).Config;
}
