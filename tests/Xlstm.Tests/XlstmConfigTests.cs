using Xunit;

namespace Xlstm.Tests;

public class XlstmConfigTests
{
    [Fact]
    public void DerivedSizesOfXlstm7B()
    {
        var config = new XlstmConfig { EmbeddingDim = 4096, NumBlocks = 32, NumHeads = 8, VocabSize = 50304 };
        Assert.Equal((2048, 256, 4096, 512, 10944), (config.QkDim, config.QkHeadDim, config.VDim, config.VHeadDim, config.FfnDim));
    }
}
