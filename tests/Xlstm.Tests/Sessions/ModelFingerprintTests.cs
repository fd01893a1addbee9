using Xlstm.Tests.Reference;
using Xunit;

namespace Xlstm.Tests.Sessions;

/// <summary>Risk: a state meets a model that it is not of, or is refused by the model that it is of.</summary>
public sealed class ModelFingerprintTests
{
    [Fact]
    public void IsOfTheWeightsNotOfTheFiles()
    {
        RandomModel model = RandomModels.Create(new Random(1), dtype: "BF16");
        string expected = Fingerprint(model, new CheckpointLayout("BF16"));
        Assert.Equal(64, expected.Length);
        Assert.Equal(expected, Fingerprint(model, new CheckpointLayout("BF16", Fused: true)));
        Assert.Equal(expected, Fingerprint(model, new CheckpointLayout("BF16", Shards: 3)));
        Assert.Equal(expected, Fingerprint(model with { DType = "F32", Tensors = model.Tensors.ToDictionary(t => t.Key, t => t.Value with { DType = "F32" }) }, new CheckpointLayout()));
    }

    [Fact]
    public void ChangesWithAnyTensorAndConstant()
    {
        RandomModel model = RandomModels.Create(new Random(2));
        HashSet<string> seen = [Fingerprint(model, new CheckpointLayout())];
        foreach ((string name, StoredTensor tensor) in model.Tensors)
        {
            double[] values = [.. tensor.Values];
            values[^1] += 1;
            var changed = new Dictionary<string, StoredTensor>(model.Tensors) { [name] = tensor with { Values = values } };
            Assert.True(seen.Add(Fingerprint(model with { Tensors = changed }, new CheckpointLayout())), name);
        }

        Assert.True(seen.Add(Fingerprint(model with { Config = model.Config with { Eps = 1e-3f } }, new CheckpointLayout())));
        Assert.True(seen.Add(Fingerprint(model with { Config = model.Config with { GateSoftCap = 3 } }, new CheckpointLayout())));
    }

    [Fact]
    public void IsTheSameForEveryWeightFormat()
    {
        using XlstmModel wide = TinyModel.Load(weights: WeightFormat.Float32);
        using XlstmModel narrow = TinyModel.Load(weights: WeightFormat.BFloat16);
        Assert.Equal(wide.Fingerprint, narrow.Fingerprint);
    }

    private static string Fingerprint(RandomModel model, CheckpointLayout layout)
    {
        using var folder = new TemporaryFolder();
        RandomModels.WriteCheckpoint(folder.Path, model, layout);
        using XlstmModel loaded = XlstmModel.Load(folder.Path, new LoadOptions { Weights = WeightFormat.Float32, Threads = 1 });
        return loaded.Fingerprint;
    }
}
