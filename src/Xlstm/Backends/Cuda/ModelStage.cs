namespace Xlstm.Backends.Cuda;

/// <summary>What one device holds of a model: neighbouring blocks, and with the first of them the embeddings, with the last what makes logits.</summary>
/// <param name="FirstBlock">The model's number of the first block.</param>
/// <param name="Blocks">How many.</param>
/// <param name="HasEmbeddings">Token ids come in here.</param>
/// <param name="HasHead">out_norm and lm_head are here.</param>
internal readonly record struct ModelStage(int FirstBlock, int Blocks, bool HasEmbeddings, bool HasHead)
{
    /// <summary>A whole model.</summary>
    public static ModelStage All(XlstmConfig config) => new(0, config.NumBlocks, HasEmbeddings: true, HasHead: true);

    /// <summary>A model in as many stages as there are numbers of blocks.</summary>
    /// <param name="blocks">Blocks of each stage, in all the model's.</param>
    public static ModelStage[] Divide(params ReadOnlySpan<int> blocks)
    {
        var stages = new ModelStage[blocks.Length];
        int first = 0;
        for (int i = 0; i < stages.Length; i++)
        {
            stages[i] = new ModelStage(first, blocks[i], HasEmbeddings: i == 0, HasHead: i == stages.Length - 1);
            first += blocks[i];
        }

        return stages;
    }
}
