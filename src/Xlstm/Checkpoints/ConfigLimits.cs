namespace Xlstm.Checkpoints;

/// <summary>
/// Refuses configs that no model has, before any size of theirs is multiplied or allocated. The limits leave the largest public
/// model (xLSTM-7B) a factor of 100 and more, and keep every product of two sizes far from overflow.
/// </summary>
internal static class ConfigLimits
{
    /// <summary>Largest number of blocks.</summary>
    public const int MaxBlocks = 1 << 14;

    private const int MaxWidth = 1 << 20;
    private const int MaxVocabulary = 1 << 24;
    private const long MaxParameters = 1L << 40;
    private const long MaxBlockState = 1L << 30;

    /// <exception cref="CheckpointException">A size or constant is out of range.</exception>
    public static void Check(XlstmConfig config, string where)
    {
        Range(where, "hidden_size", config.EmbeddingDim, MaxWidth);
        Range(where, "num_hidden_layers", config.NumBlocks, MaxBlocks);
        Range(where, "num_heads", config.NumHeads, MaxWidth);
        Range(where, "vocab_size", config.VocabSize, MaxVocabulary);
        Range(where, "ffn_round_up_to_multiple_of", config.FfnRoundUpToMultipleOf, MaxWidth);
        Positive(where, "qk_dim_factor", config.QkDimFactor);
        Positive(where, "v_dim_factor", config.VDimFactor);
        Positive(where, "ffn_proj_factor", config.FfnProjFactor);
        Epsilon(where, "norm_eps", config.NormEps);
        Epsilon(where, "eps", config.Eps);
        Positive(where, "gate_soft_cap", config.GateSoftCap ?? 1);
        Positive(where, "output_logit_soft_cap", config.OutputLogitSoftCap ?? 1);

        // In floating point first: the properties that convert to int are safe only after this.
        Range(where, "hidden_size * qk_dim_factor", config.EmbeddingDim * config.QkDimFactor, MaxWidth);
        Range(where, "hidden_size * v_dim_factor", config.EmbeddingDim * config.VDimFactor, MaxWidth);
        Range(where, "hidden_size * ffn_proj_factor", (config.EmbeddingDim * config.FfnProjFactor) + config.FfnRoundUpToMultipleOf - 1, 2 * MaxWidth);
        Range(where, "hidden_size * ffn_proj_factor, rounded,", config.FfnDim, MaxWidth);
        DividesIntoHeads(where, "hidden_size * qk_dim_factor", config.QkDim, config.NumHeads);
        DividesIntoHeads(where, "hidden_size * v_dim_factor", config.VDim, config.NumHeads);

        if (config.ParameterCount > MaxParameters)
        {
            throw new CheckpointException($"{where}: {config.ParameterCount} parameters, expected at most {MaxParameters}");
        }

        long blockState = (long)config.QkDim * config.VHeadDim;
        if (blockState > MaxBlockState)
        {
            throw new CheckpointException($"{where}: the state of a block would have {blockState} elements, expected at most {MaxBlockState}");
        }
    }

    private static void Range(string where, string key, double value, int max)
    {
        if (!(value >= 1 && value <= max))
        {
            throw new CheckpointException(FormattableString.Invariant($"{where}: {key} is {value}, expected 1 to {max}"));
        }
    }

    private static void Positive(string where, string key, double value)
    {
        if (!(value > 0 && double.IsFinite(value)))
        {
            throw new CheckpointException(FormattableString.Invariant($"{where}: {key} is {value}, expected a number above 0"));
        }
    }

    private static void Epsilon(string where, string key, float value)
    {
        if (!(value >= 0 && value < 1))
        {
            throw new CheckpointException(FormattableString.Invariant($"{where}: {key} is {value}, expected a number in [0, 1)"));
        }
    }

    private static void DividesIntoHeads(string where, string key, int width, int heads)
    {
        if (width % heads != 0)
        {
            throw new CheckpointException($"{where}: {key} is {width}, which num_heads {heads} does not divide");
        }
    }
}
