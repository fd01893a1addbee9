namespace Xlstm.Checkpoints.Packed;

/// <summary>How each matrix of a model is held.</summary>
/// <param name="Format">The format asked for.</param>
/// <param name="Mix">With int4: out_proj and proj_down, which write to the residual stream, stay at 8 bits.</param>
internal readonly record struct WeightRecipe(WeightFormat Format, bool Mix = false)
{
    public static implicit operator WeightRecipe(WeightFormat format) => new(format);

    /// <summary>Only the matrices of this role are held in <see cref="Format"/>, all others as bfloat16: what a format costs by role is measured so. Packed files do not know it.</summary>
    public TensorRole? Only { get; init; }

    /// <summary>The format of a role's matrices. The gates are float32 in every recipe; int4 leaves embedding and lm_head at 8 bits, because every token passes through them.</summary>
    public WeightFormat Of(TensorRole role)
    {
        if (role is TensorRole.IGatePreact or TensorRole.FGatePreact)
        {
            return WeightFormat.Float32;
        }

        if (Only is { } only)
        {
            return role == only ? Format : WeightFormat.BFloat16;
        }

        bool eight = role is TensorRole.Embeddings or TensorRole.LmHead || (Mix && role is TensorRole.OutProj or TensorRole.ProjDown);
        return Format == WeightFormat.Int4 && eight ? WeightFormat.Int8 : Format;
    }
}
