using Xlstm.Backends.Cuda;
using Xunit;

namespace Xlstm.Tests.Cuda;

/// <summary>A model cut into stages must hold every weight once, and a tied lm_head a second time where the embeddings are elsewhere. Needs no GPU.</summary>
public class CudaWeightLayoutTests
{
    [Theory]
    [InlineData(WeightFormat.Float32, false)]
    [InlineData(WeightFormat.BFloat16, false)]
    [InlineData(WeightFormat.BFloat16, true)]
    [InlineData(WeightFormat.Int8, true)]
    [InlineData(WeightFormat.Int4, false)]
    public void StagesTakeTogetherWhatTheModelTakes(WeightFormat format, bool tied)
    {
        var config = new XlstmConfig { EmbeddingDim = 96, NumBlocks = 7, NumHeads = 2, VocabSize = 333, UseBias = true, TieWordEmbeddings = tied };
        long whole = CudaWeightLayout.Measure(config, format, ModelStage.All(config));
        ModelStage[] stages = ModelStage.Divide(3, 0, 4);
        Assert.Equal([0, 3, 3], stages.Select(stage => stage.FirstBlock));
        long embeddings = CudaWeightLayout.Measure(config, format, new ModelStage(0, 0, HasEmbeddings: true, HasHead: false));
        Assert.Equal(whole + (tied ? embeddings : 0), stages.Sum(stage => CudaWeightLayout.Measure(config, format, stage)));
        Assert.Equal(0, CudaWeightLayout.Measure(config, format, stages[1]));
    }
}
