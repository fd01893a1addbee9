using Xlstm.Backends;
using Xlstm.Backends.Cpu;
using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;
using Xunit;

namespace Xlstm.Tests.Checkpoints.Packed;

/// <summary>Packed folders: the same bits as packing at load, whoever reads them; damaged and foreign ones refused with a line that says why.</summary>
public class PackedFolderTests
{
    public static IEnumerable<TheoryDataRow<string, WeightFormat, bool>> Cases =>
        from name in TestData.References
        from format in Enum.GetValues<WeightFormat>()
        from mix in format == WeightFormat.Int4 ? new[] { false, true } : [false]
        select new TheoryDataRow<string, WeightFormat, bool>(name.Data, format, mix);

    [Theory]
    [MemberData(nameof(Cases))]
    public void GiveTheLogitsOfPackingAtLoad(string name, WeightFormat format, bool mix)
    {
        using var folder = new TemporaryFolder();
        string packed = Path.Combine(folder.Path, "packed");
        using Checkpoint original = Checkpoint.Open(TestData.Reference(name));
        ModelPacker.Pack(original, packed, new PackOptions { Weights = format, Mix = mix }, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(["config.json", "packed.safetensors"], Directory.EnumerateFiles(packed).Select(Path.GetFileName).Order());

        int[] ids = Golden.Load(name).InputIds;
        using Checkpoint checkpoint = Checkpoint.Open(packed);
        Assert.Equal(format, checkpoint.PackedFormat);
        float[] expected = Logits(original, new WeightRecipe(format, mix), ids);
        Assert.Equal(expected, Logits(checkpoint, format, ids));

        // Read as float32 values it is a checkpoint like any other: the values that the packed numbers stand for.
        CheckpointTensor source = original.Blocks[^1].ProjDown, unpacked = checkpoint.Blocks[^1].ProjDown;
        Assert.Equal((source.Rows, source.Cols), (unpacked.Rows, unpacked.Cols));
        float[] values = Values(source), held = Values(unpacked);
        double error = Math.Sqrt(values.Zip(held, (a, b) => Math.Pow(a - b, 2)).Sum() / values.Sum(a => (double)a * a));
        Assert.InRange(error, 0, format switch { WeightFormat.Float32 => 0, WeightFormat.BFloat16 => 2e-3, WeightFormat.Int8 => 1e-2, _ => mix ? 1e-2 : 0.12 });
    }

    [Fact]
    public void CalibrationChangesTheNibblesAndNothingElse()
    {
        using var folder = new TemporaryFolder();
        using Checkpoint original = Checkpoint.Open(TestData.Reference("tiny-single"));
        string plain = Path.Combine(folder.Path, "plain"), calibrated = Path.Combine(folder.Path, "calibrated");
        ModelPacker.Pack(original, plain, new PackOptions { Weights = WeightFormat.Int4 }, cancellationToken: TestContext.Current.CancellationToken);
        ModelPacker.Pack(original, calibrated, new PackOptions { Weights = WeightFormat.Int4, CalibrationIds = Golden.Load("tiny-single").InputIds }, cancellationToken: TestContext.Current.CancellationToken);
        byte[] first = File.ReadAllBytes(Path.Combine(plain, PackedFile.FileName)), second = File.ReadAllBytes(Path.Combine(calibrated, PackedFile.FileName));
        Assert.Equal(first.Length, second.Length);
        Assert.NotEqual(first, second);
    }

    [Theory]
    [InlineData("\"xlstm_packed_version\":\"1\"", "\"xlstm_packed_version\":\"2\"", "xlstm_packed_version is '2', this build reads 1")]
    [InlineData("\"group_size\":\"32\"", "\"group_size\":\"64\"", "group_size is '64', this build reads 32")]
    [InlineData("\"weights\":\"int4\"", "\"weights\":\"int3\"", "weights is 'int3', expected float32, bfloat16, int8, int4")]
    [InlineData("\"weights\":\"int4\"", "\"weights\":\"int8\"", "do not fit config.json and the file's format")]
    [InlineData("\"group_size\"", "\"group_sizf\"", "__metadata__ has no \"group_size\"")]
    [InlineData("backbone.blocks.0.mlstm_layer.q.weight", "backbone.blocks.0.mlstm_layer.x.weight", "1 tensors missing, 1 too many")]
    public void AForeignHeaderIsRefused(string text, string replacement, string message)
    {
        using var folder = new TemporaryFolder();
        string packed = PackTiny(folder);
        Edit(packed, bytes =>
        {
            string latin = System.Text.Encoding.Latin1.GetString(bytes);
            Assert.Contains(text, latin, StringComparison.Ordinal);
            return System.Text.Encoding.Latin1.GetBytes(latin.Replace(text, replacement, StringComparison.Ordinal));
        });
        CheckpointException e = Assert.Throws<CheckpointException>(() => Checkpoint.Open(packed));
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
        Assert.StartsWith(Path.Combine(packed, PackedFile.FileName) + ": ", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', e.Message);
    }

    [Fact]
    public void ATruncatedFileIsRefused()
    {
        using var folder = new TemporaryFolder();
        string packed = PackTiny(folder);
        Edit(packed, bytes => bytes[..^1]);
        Assert.Throws<CheckpointException>(() => Checkpoint.Open(packed));
    }

    [Fact]
    public void RandomDamageNeverSurprises()
    {
        using var folder = new TemporaryFolder();
        string packed = PackTiny(folder);
        byte[] sound = File.ReadAllBytes(Path.Combine(packed, PackedFile.FileName));
        int header = (int)BitConverter.ToInt64(sound) + 8;
        for (int seed = 0; seed < 300; seed++)
        {
            var random = new Random(seed);
            Edit(packed, _ =>
            {
                byte[] damaged = [.. sound];
                for (int i = random.Next(1, 4); i > 0; i--)
                {
                    damaged[random.Next(header)] = (byte)random.Next(256);
                }

                return damaged;
            });
            try
            {
                Checkpoint.Open(packed).Dispose();
            }
            catch (CheckpointException)
            {
            }
        }
    }

    [Fact]
    public void APackedFolderIsNotPackedAgain()
    {
        using var folder = new TemporaryFolder();
        using Checkpoint packed = Checkpoint.Open(PackTiny(folder));
        string target = Path.Combine(folder.Path, "again");
        Assert.Throws<CheckpointException>(() => ModelPacker.Pack(packed, target, new PackOptions { Weights = WeightFormat.Int8 }));
        Assert.False(Directory.Exists(target));
    }

    private static string PackTiny(TemporaryFolder folder)
    {
        string packed = Path.Combine(folder.Path, "packed");
        using Checkpoint original = Checkpoint.Open(TestData.Reference("tiny-single"));
        ModelPacker.Pack(original, packed, new PackOptions { Weights = WeightFormat.Int4 });
        return packed;
    }

    private static void Edit(string packed, Func<byte[], byte[]> edit)
    {
        string file = Path.Combine(packed, PackedFile.FileName);
        File.WriteAllBytes(file, edit(File.ReadAllBytes(file)));
    }

    private static float[] Values(CheckpointTensor tensor)
    {
        var raw = new byte[tensor.Rows * tensor.Cols * tensor.ElementSize];
        tensor.ReadRows(0, tensor.Rows, raw);
        var values = new float[tensor.Rows * tensor.Cols];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = tensor.ElementType == ElementType.Float32 ? BitConverter.ToSingle(raw, 4 * i) : BFloat16.Widen(BitConverter.ToUInt16(raw, 2 * i));
        }

        return values;
    }

    private static float[] Logits(Checkpoint checkpoint, WeightRecipe recipe, int[] ids)
    {
        using CpuBackend backend = CpuBackend.Load(checkpoint, recipe, threads: 2, CpuInstructionSets.Best);
        using RecurrentState state = backend.CreateState();
        var logits = new float[ids.Length * checkpoint.Config.VocabSize];
        backend.Forward([new BatchItem(state, ids, Output.AllLogits, logits)]);
        return logits;
    }
}
