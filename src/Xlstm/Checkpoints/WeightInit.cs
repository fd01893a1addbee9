namespace Xlstm.Checkpoints;

/// <summary>
/// The values a model starts its training from, as in the demo model's recipe: norms one; gate weights zero, igate bias -10, fgate bias from 3
/// to 6 over the heads; out_proj and proj_down normal with deviation 2 / L / sqrt(fan-in) ("Wang init"); all else normal with deviation sqrt(2 / 5D) ("small init"); other biases zero.
/// </summary>
internal sealed class WeightInit(XlstmConfig config, ulong seed)
{
    /// <summary>Fills a range of a stored tensor. The values depend on seed, block, role and place, not on how the model is laid out: a fused checkpoint holds the same model.</summary>
    /// <param name="tensor">The stored tensor.</param>
    /// <param name="first">First element, row-major.</param>
    /// <param name="destination">Filled completely; must not reach beyond the tensor.</param>
    public void Fill(StoredTensor tensor, long first, Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first + destination.Length, tensor.Elements, nameof(destination));
        long partStart = 0;
        foreach (TensorPart part in tensor.Parts)
        {
            long partLength = (long)part.Size * Math.Max(tensor.Cols, 1);
            long skip = first - partStart;
            if (skip < partLength && !destination.IsEmpty)
            {
                int count = (int)Math.Min(partLength - skip, destination.Length);
                FillPart(tensor, part, skip, destination[..count]);
                destination = destination[count..];
                first += count;
            }

            partStart += partLength;
        }
    }

    private void FillPart(StoredTensor tensor, TensorPart part, long first, Span<float> destination)
    {
        switch (part.Role)
        {
            case TensorRole.FGatePreact when tensor.IsBias:
                FillLinear(3, 6, part.Size, first, destination);
                break;
            case TensorRole.IGatePreact when tensor.IsBias:
                destination.Fill(-10);
                break;
            case TensorRole.IGatePreact or TensorRole.FGatePreact:
                destination.Clear();
                break;
            case var _ when tensor.IsBias:
                destination.Clear();
                break;
            case TensorRole.NormMlstm or TensorRole.MultiheadNorm or TensorRole.NormFfn or TensorRole.OutNorm:
                destination.Fill(1);
                break;
            case TensorRole.OutProj or TensorRole.ProjDown:
                NormalNoise.Fill(Key(tensor.Block, part.Role), first, (float)(2.0 / config.NumBlocks / Math.Sqrt(tensor.Cols)), destination);
                break;
            default:
                NormalNoise.Fill(Key(tensor.Block, part.Role), first, (float)Math.Sqrt(2.0 / (5.0 * config.EmbeddingDim)), destination);
                break;
        }
    }

    private static void FillLinear(float from, float to, int count, long first, Span<float> destination)
    {
        for (int i = 0; i < destination.Length; i++)
        {
            destination[i] = count == 1 ? from : from + ((to - from) * (first + i) / (count - 1));
        }
    }

    private ulong Key(int block, TensorRole role) => NormalNoise.Mix(NormalNoise.Mix(seed + 1) ^ (((ulong)(block + 1) << 8) | (ulong)role));
}
