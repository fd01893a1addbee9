namespace Xlstm.Checkpoints.Packed;

/// <summary>How each matrix of a model is held.</summary>
/// <param name="Format">The format asked for.</param>
/// <param name="Mix">With int4: out_proj and proj_down, which write to the residual stream, stay at 8 bits.</param>
internal readonly record struct WeightRecipe(WeightFormat Format, bool Mix = false)
{
    public static implicit operator WeightRecipe(WeightFormat format) => new(format);

    /// <summary>q, k, v, o, proj_up_gate and proj_up.</summary>
    public WeightFormat Inner => Format;

    /// <summary>out_proj and proj_down.</summary>
    public WeightFormat Residual => Mix && Format == WeightFormat.Int4 ? WeightFormat.Int8 : Format;

    /// <summary>Embedding and lm_head: every token passes through them, and at 4 bits they would cost more quality than they save time.</summary>
    public WeightFormat Outer => Format == WeightFormat.Int4 ? WeightFormat.Int8 : Format;
}
