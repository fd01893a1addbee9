using System.Text.Json;
using Xlstm.Backends.Cpu;
using Xlstm.Backends.Cuda;
using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests.Cuda;

/// <summary>The trained demo model on the GPU against the CPU with the same weights: what rounding activations for the tensor cores costs, in nats.</summary>
[Collection(GpuTests.Name)]
public class CudaDemoTests
{
    private static readonly JsonElement Reference = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(TestData.DemoModel, "reference.json"))).RootElement;

    [Theory]
    [InlineData(WeightFormat.Float32, 1500)]
    [InlineData(WeightFormat.BFloat16, 1500)]
    [InlineData(WeightFormat.BFloat16, 1)]
    public void PredictsWhatTheCpuPredicts(WeightFormat format, int tokensPerCall)
    {
        using CudaBackend gpu = Gpu.Load(TestData.DemoModel, format);
        using CpuBackend cpu = Gpu.LoadCpu(TestData.DemoModel, format);
        XlstmConfig config = gpu.Config;
        int[] ids = [.. Text().Take(1500)];
        (float[] expected, _) = Gpu.Feed(cpu, config, ids, 512);
        (float[] actual, _) = Gpu.Feed(gpu, config, ids, tokensPerCall);
        (double divergence, double agreed) = Compare(expected, actual, config.VocabSize, $"{format}, {tokensPerCall} tokens a call");
        Assert.InRange(divergence, -1e-9, 1e-4);
        Assert.InRange(agreed, 0.995, 1);
    }

    /// <summary>The numbers that the packed ones stand for, multiplied exactly by the CPU: so it shows what all roundings of activations cost.</summary>
    [Theory]
    [InlineData(WeightFormat.Int8, false, 1)]
    [InlineData(WeightFormat.Int8, false, 30)]
    [InlineData(WeightFormat.Int8, false, 1500)]
    [InlineData(WeightFormat.Int4, false, 1)]
    [InlineData(WeightFormat.Int4, false, 7)]
    [InlineData(WeightFormat.Int4, false, 64)]
    [InlineData(WeightFormat.Int4, false, 1500)]
    [InlineData(WeightFormat.Int4, true, 1)]
    [InlineData(WeightFormat.Int4, true, 1500)]
    public void PredictsWhatQuantizedWeightsPredict(WeightFormat format, bool mix, int tokensPerCall)
    {
        _ = Gpu.Device;
        using var folder = new TemporaryFolder();
        string packed = folder.File("packed");
        using (Checkpoint checkpoint = Checkpoint.Open(TestData.DemoModel))
        {
            ModelPacker.Pack(checkpoint, packed, new PackOptions { Weights = format, Mix = mix }, cancellationToken: TestContext.Current.CancellationToken);
        }

        using CudaBackend gpu = Gpu.Load(packed, format);
        using CpuBackend cpu = Gpu.LoadCpu(packed, WeightFormat.Float32);
        int[] ids = [.. Text().Take(1500)];
        (float[] expected, _) = Gpu.Feed(cpu, gpu.Config, ids, 512);
        (float[] actual, _) = Gpu.Feed(gpu, gpu.Config, ids, tokensPerCall);
        (double divergence, double agreed) = Compare(expected, actual, gpu.Config.VocabSize, $"{format}{(mix ? " mix" : "")}, {tokensPerCall} tokens a call");
        Assert.InRange(divergence, -1e-9, 1e-4);
        Assert.InRange(agreed, 0.995, 1);
    }

    /// <summary>C rounded to bfloat16 after every call costs a little, but not the text.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(100)]
    public void RoundedStatesPredictNearlyTheSame(int tokensPerCall)
    {
        using CudaBackend gpu = Gpu.Load(TestData.DemoModel, WeightFormat.BFloat16, StateFormat.BFloat16);
        using CpuBackend cpu = Gpu.LoadCpu(TestData.DemoModel, WeightFormat.BFloat16);
        int[] ids = [.. Text().Take(1500)];
        (float[] expected, _) = Gpu.Feed(cpu, gpu.Config, ids, 512);
        (float[] actual, _) = Gpu.Feed(gpu, gpu.Config, ids, tokensPerCall);
        (double divergence, double agreed) = Compare(expected, actual, gpu.Config.VocabSize, $"bfloat16 states, {tokensPerCall} tokens a call");
        Assert.InRange(divergence, -1e-9, 5e-3);
        Assert.InRange(agreed, 0.97, 1);
    }

    private static (double Divergence, double Agreed) Compare(float[] expected, float[] actual, int vocabSize, string what)
    {
        double divergence = 0, worst = 0;
        int agreed = 0, count = expected.Length / vocabSize;
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<float> p = expected.AsSpan(i * vocabSize, vocabSize), q = actual.AsSpan(i * vocabSize, vocabSize);
            double kl = Divergence(p, q);
            divergence += kl / count;
            worst = Math.Max(worst, kl);
            agreed += ArgMax(p) == ArgMax(q) ? 1 : 0;
        }

        Gpu.Write($"{what}: mean KL {divergence:e2} nats, worst {worst:e2}, same first choice {100.0 * agreed / count:f2} %, max logit difference {Gpu.WorstDifference(expected, actual)}");
        return (divergence, agreed / (double)count);
    }

    /// <summary>Batches in which the text is decoded in pieces side by side.</summary>
    [Theory]
    [InlineData(3, 60)]
    [InlineData(8, 60)]
    [InlineData(33, 40)]
    [InlineData(100, 12)]
    public void ABatchPredictsWhatTheCpuPredicts(int size, int length)
    {
        using CudaBackend gpu = Gpu.Load(TestData.DemoModel, WeightFormat.BFloat16);
        using CpuBackend cpu = Gpu.LoadCpu(TestData.DemoModel, WeightFormat.BFloat16);
        XlstmConfig config = gpu.Config;
        int[] text = [.. Text()];
        int[][] pieces = [.. Enumerable.Range(0, size).Select(i => Enumerable.Range(i * 13, length).Select(j => text[j % text.Length]).ToArray())];
        (float[][] actual, _) = CudaBatchTests.Decode(gpu, config, pieces);
        double divergence = 0;
        int agreed = 0;
        for (int i = 0; i < size; i++)
        {
            (float[] expected, _) = Gpu.Feed(cpu, config, pieces[i], length);
            for (int j = 0; j < length; j++)
            {
                ReadOnlySpan<float> p = expected.AsSpan(j * config.VocabSize, config.VocabSize), q = actual[i].AsSpan(j * config.VocabSize, config.VocabSize);
                divergence += Divergence(p, q) / (size * length);
                agreed += ArgMax(p) == ArgMax(q) ? 1 : 0;
            }
        }

        Gpu.Write($"batch of {size}: mean KL {divergence:e2} nats, same first choice {100.0 * agreed / (size * length):f2} %");
        Assert.InRange(divergence, -1e-9, 1e-4);
        Assert.InRange(agreed / (double)(size * length), 0.995, 1);
    }

    [Fact]
    public async Task GreedyTextIsTheReferences()
    {
        _ = Gpu.Device;
        using XlstmModel model = XlstmModel.Load(TestData.DemoModel, new LoadOptions { Device = "cuda", Weights = WeightFormat.Float32 });
        foreach (JsonElement expected in Reference.GetProperty("greedy").EnumerateArray())
        {
            using Session session = model.CreateSession();
            session.Append(expected.GetProperty("prompt").GetString()!);
            int[] ids = [.. expected.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
            var options = new GenerationOptions { MaxNewTokens = ids.Length, Sampling = new SamplingOptions { Greedy = true }, IgnoreEndOfText = true };
            var made = new List<int>();
            await foreach (GeneratedToken token in session.GenerateAsync(options, TestContext.Current.CancellationToken))
            {
                made.Add(token.Id);
            }

            Assert.Equal(ids, made);
        }
    }

    private static IEnumerable<int> Text() =>
        Reference.GetProperty("greedy").EnumerateArray()
            .SelectMany(e => e.GetProperty("prompt_ids").EnumerateArray().Concat(e.GetProperty("ids").EnumerateArray()))
            .Select(id => id.GetInt32());

    private static double Divergence(ReadOnlySpan<float> p, ReadOnlySpan<float> q)
    {
        double maxP = p[ArgMax(p)], maxQ = q[ArgMax(q)], sumP = 0, sumQ = 0;
        for (int i = 0; i < p.Length; i++)
        {
            sumP += Math.Exp(p[i] - maxP);
            sumQ += Math.Exp(q[i] - maxQ);
        }

        double kl = 0;
        for (int i = 0; i < p.Length; i++)
        {
            double logP = p[i] - maxP - Math.Log(sumP);
            kl += Math.Exp(logP) * (logP - (q[i] - maxQ - Math.Log(sumQ)));
        }

        return kl;
    }

    private static int ArgMax(ReadOnlySpan<float> values)
    {
        int best = 0;
        for (int i = 1; i < values.Length; i++)
        {
            best = values[i] > values[best] ? i : best;
        }

        return best;
    }
}
