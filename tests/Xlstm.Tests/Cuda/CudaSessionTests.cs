using Xlstm.Tests.Sessions;
using Xunit;

namespace Xlstm.Tests.Cuda;

/// <summary>Risk: on a device whose sums depend on how a text is cut, a session that goes back, is saved or moves does not go on as it did.</summary>
[Collection(GpuTests.Name)]
public class CudaSessionTests
{
    private const string Prompt = "Once upon a time there was a little fox who lived in the forest. One day";

    public static TheoryData<WeightFormat, StateFormat> Formats => new()
    {
        { WeightFormat.Float32, StateFormat.Float32 },
        { WeightFormat.BFloat16, StateFormat.Float32 },
        { WeightFormat.BFloat16, StateFormat.BFloat16 },
    };

    [Theory]
    [MemberData(nameof(Formats))]
    public async Task AReplayGivesTheBitsOfTheFirstReading(WeightFormat weights, StateFormat state)
    {
        using XlstmModel model = Load(weights, state);
        using Session session = model.CreateSession();
        session.Append(Prompt);
        session.Append(" the fox met a bear, and");
        int middle = session.Tokens.Count;
        float[] atMiddle = session.Logits.ToArray();
        int[] made = await session.GreedyAsync(30);
        float[] atEnd = session.Logits.ToArray();
        int end = session.Tokens.Count;

        // No states are kept: everything is read again, one pass for each of the first reading.
        session.Rewind(end - 3);
        session.Rewind(middle);
        Assert.Equal(atMiddle, session.Logits.ToArray());
        Assert.Equal(made, await session.GreedyAsync(30));
        Assert.Equal(atEnd, session.Logits.ToArray());
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public async Task AFileGoesOnWithTheSameBits(WeightFormat weights, StateFormat state)
    {
        using var folder = new TemporaryFolder();
        using XlstmModel model = Load(weights, state);
        using Session session = model.CreateSession();
        session.Append(Prompt);
        await session.GreedyAsync(5);
        string asHeld = Path.Combine(folder.Path, "held"), asFloat32 = Path.Combine(folder.Path, "float32");
        await session.SaveAsync(asHeld, cancellationToken: TestContext.Current.CancellationToken);
        await session.SaveAsync(asFloat32, StateFormat.Float32, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(state, SessionFile.ReadInfo(asHeld).StateFormat);
        int[] made = await session.GreedyAsync(20);
        foreach (string file in new[] { asHeld, asFloat32 })
        {
            using Session loaded = await Session.LoadAsync(model, file, cancellationToken: TestContext.Current.CancellationToken);
            Assert.Equal(made, await loaded.GreedyAsync(20));
            Assert.Equal(session.Logits.ToArray(), loaded.Logits.ToArray());
        }
    }

    /// <summary>float32 weights: what carries on elsewhere is the state itself, and what follows differs by the order of sums.</summary>
    [Fact]
    public void AStateMovesBetweenCpuAndGpu()
    {
        using XlstmModel gpu = Load(WeightFormat.Float32, StateFormat.Float32);
        using XlstmModel cpu = XlstmModel.Load(TestData.DemoModel, new LoadOptions { Weights = WeightFormat.Float32 });
        foreach ((XlstmModel from, XlstmModel to) in new[] { (gpu, cpu), (cpu, gpu) })
        {
            using Session here = from.CreateSession(), there = to.CreateSession(), back = from.CreateSession();
            here.Append(Prompt);
            using Snapshot snapshot = here.Snapshot();
            there.Restore(snapshot);
            Assert.Equal(here.Logits.ToArray(), there.Logits.ToArray());
            using Snapshot moved = there.Snapshot();
            back.Restore(moved);
            there.Append([17, 400]);
            here.Append([17, 400]);
            back.Append([17, 400]);
            Assert.Equal(here.Logits.ToArray(), back.Logits.ToArray());
            float worst = Gpu.WorstDifference(here.Logits, there.Logits);
            Gpu.Write($"{from.Device} to {to.Device}: logits differ by {worst}");
            Assert.InRange(worst, 0, 1e-3f);
        }
    }

    private static XlstmModel Load(WeightFormat weights, StateFormat state)
    {
        _ = Gpu.Device;
        return XlstmModel.Load(TestData.DemoModel, new LoadOptions { Device = "cuda", Weights = weights, State = state });
    }
}
