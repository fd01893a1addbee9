namespace Xlstm.Checkpoints;

/// <summary>The tensors of a model by block, role and kind. Block -1 is what stands outside the blocks.</summary>
internal sealed class TensorMap
{
    /// <summary>The block of embeddings, out_norm and lm_head.</summary>
    public const int NoBlock = -1;

    private readonly Dictionary<(int Block, TensorRole Role, bool IsBias), CheckpointTensor> _tensors = [];

    /// <summary>Adds the tensors of the model that <paramref name="stored"/> holds.</summary>
    /// <param name="stored">A tensor of the layout.</param>
    /// <param name="shardIndex">The shard it lies in.</param>
    /// <param name="type">What its elements are.</param>
    /// <param name="source">Its bytes, from its first on.</param>
    public void Add(StoredTensor stored, int shardIndex, ElementType type, ITensorSource source)
    {
        long offset = 0;
        foreach (TensorPart part in stored.Parts)
        {
            (int rows, int cols) = stored.IsVector ? (1, part.Size) : (part.Size, stored.Cols);
            _tensors.Add((stored.Block, part.Role, stored.IsBias), new CheckpointTensor(stored.Name, shardIndex, type, rows, cols, source, offset));
            offset += (long)rows * cols * SafetensorsDtype.SizeOf(type);
        }
    }

    /// <summary>The tensor, or null when the model has none.</summary>
    public CheckpointTensor? Find(int block, TensorRole role, bool isBias) => _tensors.GetValueOrDefault((block, role, isBias));

    /// <summary>The tensor, which every model has.</summary>
    public CheckpointTensor Get(int block, TensorRole role, bool isBias) => _tensors[(block, role, isBias)];
}
