using Xlstm.Backends;
using Xlstm.Backends.Cuda;
using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints;
using Xlstm.Tests.Reference;
using Xunit;

namespace Xlstm.Tests.Cuda;

/// <summary>Risks: a state that is copied, cut into parts or held in bfloat16 is not the state it was, or more of it is rounded than C where it is stored.</summary>
[Collection(GpuTests.Name)]
public class CudaStateTests
{
    public static TheoryData<StateFormat> Formats => new(StateFormat.Float32, StateFormat.BFloat16);

    [Theory]
    [MemberData(nameof(Formats))]
    public void StatesGoOutAndInAgain(StateFormat format)
    {
        using CudaBackend backend = Gpu.Load(TestData.Reference("tiny-single"), WeightFormat.Float32, format);
        using RecurrentState state = backend.CreateState(), copy = backend.CreateState();
        CheckCopies(backend.Config, format, state, copy);
        Assert.Equal(backend.StateBytes, state.ByteLength);
    }

    /// <summary>As on several GPUs, but that it is one: odd sizes of heads leave gaps between C and n and between blocks.</summary>
    [Theory]
    [MemberData(nameof(Formats))]
    public void AStateInPartsIsOneState(StateFormat format)
    {
        using CudaBackend backend = Gpu.Load(TestData.Reference("tiny-single"), WeightFormat.Float32, format);
        using var context = new CudaContext(Gpu.Device);
        using var stream = new CudaStream(context);
        var config = new XlstmConfig { EmbeddingDim = 15, NumBlocks = 5, NumHeads = 1, VocabSize = 77 };
        var layout = new CudaStateLayout(config, format);
        CudaStatePart[] Parts() => [.. new[] { (0, 2), (2, 1), (3, 2) }.Select(blocks => CudaStatePart.Create(context, stream, layout, blocks.Item1, blocks.Item2))];
        using CudaState state = new(backend, config, layout, Parts()), copy = new(backend, config, layout, Parts());
        Assert.Equal(layout.ByteLength, state.ByteLength);
        CheckCopies(config, format, state, copy);
        Assert.Throws<ArgumentOutOfRangeException>(() => state.CopyBlockTo(5, new float[RecurrentState.BlockFloatCount(config)]));
    }

    /// <summary>Arithmetic is that of float32 states: rounding C by hand after every call gives the same bits.</summary>
    [Theory]
    [InlineData(WeightFormat.BFloat16, 128, 1)]
    [InlineData(WeightFormat.BFloat16, 256, 1)]
    [InlineData(WeightFormat.BFloat16, 128, 70)]
    [InlineData(WeightFormat.BFloat16, 256, 70)]
    [InlineData(WeightFormat.Float32, 20, 1)]
    [InlineData(WeightFormat.Float32, 20, 70)]
    [InlineData(WeightFormat.BFloat16, 20, 70)]
    public void OnlyWhatIsStoredIsRounded(WeightFormat weights, int headDim, int tokensPerCall)
    {
        _ = Gpu.Device;
        var config = new XlstmConfig { EmbeddingDim = 4 * headDim, NumBlocks = 2, NumHeads = 2, VocabSize = 99 };
        RandomModel model = RandomModels.Create(new Random(headDim), config, "BF16");
        using var folder = new TemporaryFolder();
        RandomModels.WriteCheckpoint(folder.Path, model, new CheckpointLayout("BF16"));
        using CudaBackend exact = Gpu.Load(folder.Path, weights), rounded = Gpu.Load(folder.Path, weights, StateFormat.BFloat16);
        using RecurrentState exactState = exact.CreateState(), roundedState = rounded.CreateState();
        int[] ids = model.RandomIds(new Random(1), 5 * tokensPerCall);
        float[] expected = new float[config.VocabSize], actual = new float[config.VocabSize];
        for (int first = 0; first < ids.Length; first += tokensPerCall)
        {
            exact.Forward([new BatchItem(exactState, ids.AsMemory(first, tokensPerCall), Output.LastLogits, expected)]);
            rounded.Forward([new BatchItem(roundedState, ids.AsMemory(first, tokensPerCall), Output.LastLogits, actual)]);
            float[] state = Rounded(config, Gpu.StateOf(exactState, config));
            exactState.CopyFrom(state);
            Assert.Equal(expected, actual);
            Assert.Equal(state, Gpu.StateOf(roundedState, config));
        }
    }

    private static void CheckCopies(XlstmConfig config, StateFormat format, RecurrentState state, RecurrentState copy)
    {
        Assert.All(Gpu.StateOf(state, config), value => Assert.Equal(0, value));
        float[] values = [.. Enumerable.Range(1, (int)RecurrentState.FloatCount(config)).Select(i => i * 0.37f)];
        state.CopyFrom(values);
        float[] held = format == StateFormat.Float32 ? values : Rounded(config, values);
        Assert.Equal(held, Gpu.StateOf(state, config));
        copy.CopyFrom(state);
        state.Reset();
        Assert.All(Gpu.StateOf(state, config), value => Assert.Equal(0, value));
        Assert.Equal(held, Gpu.StateOf(copy, config));
    }

    private static float[] Rounded(XlstmConfig config, float[] state)
    {
        int block = (int)RecurrentState.BlockFloatCount(config), matrix = block - (config.NumHeads * (config.QkHeadDim + 1));
        float[] result = [.. state];
        byte[] raw = new byte[sizeof(ushort) * matrix];
        for (int first = 0; first < state.Length; first += block)
        {
            ElementConversion.FromFloat32(state.AsSpan(first, matrix), ElementType.BFloat16, raw);
            ElementConversion.ToFloat32(raw, ElementType.BFloat16, result.AsSpan(first, matrix));
        }

        return result;
    }
}
