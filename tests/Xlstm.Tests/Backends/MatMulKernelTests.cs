using Xlstm.Backends.Cpu;
using Xlstm.Backends.Cpu.Kernels;
using Xunit;

namespace Xlstm.Tests.Backends;

/// <summary>Packed products against a plain loop: odd sizes, partial panels, every tile width, biases and residuals, on every instruction set.</summary>
public unsafe class MatMulKernelTests
{
    public static IEnumerable<TheoryDataRow<int, int, int, WeightFormat>> Sizes =>
        from size in new[] { (1, 1), (16, 2), (17, 3), (64, 64), (65, 33), (130, 97), (200, 256) }
        from tokens in new[] { 1, 2, 4, 5, 8, 9, 12, 13, 23, 31 }
        from format in Enum.GetValues<WeightFormat>()
        select new TheoryDataRow<int, int, int, WeightFormat>(size.Item1, size.Item2, tokens, format);

    [Theory]
    [MemberData(nameof(Sizes))]
    public void AgreeWithAPlainLoop(int rows, int cols, int tokens, WeightFormat format)
    {
        var random = new Random((rows * 1000) + (cols * 10) + tokens);
        float[] weights = Values(random, rows * cols), input = Values(random, tokens * cols), bias = Values(random, rows), residual = Values(random, tokens * rows);

        // Poisoned: a padding row or column that is read shows as NaN.
        using var memory = new NativeBuffer(PackedMatrix.ByteLength(rows, cols, format), zeroed: false);
        new Span<byte>(memory.Pointer, (int)memory.ByteLength).Fill(0xFF);
        var matrix = new PackedMatrix(memory.Pointer, rows, cols, format);
        for (int row = 0; row < matrix.Panels * PackedMatrix.PanelRows; row++)
        {
            matrix.SetRow(row, row < rows ? weights.AsSpan(row * cols, cols) : new float[cols]);
        }

        using var tileMemory = new NativeBuffer(sizeof(float) * ActivationTiles.FloatCount(tokens, cols));
        float* tileBuffer = (float*)tileMemory.Pointer;
        var tiles = new ActivationTiles(tokens);
        fixed (float* inputPointer = input, biasPointer = bias)
        {
            for (int token = 0; token < tokens; token++)
            {
                tiles.SetRow(tileBuffer, token, inputPointer + (token * cols), cols);
            }

            foreach (CpuInstructionSet set in Enum.GetValues<CpuInstructionSet>().Where(CpuInstructionSets.IsSupported))
            {
                const int Guard = 16;
                var output = new float[(tokens * rows) + Guard];
                residual.CopyTo(output, 0);
                Array.Fill(output, 7f, tokens * rows, Guard);
                fixed (float* outputPointer = output)
                {
                    for (int worker = 0; worker < 3; worker++)
                    {
                        new PanelProducts(MatMulKernel.For(set), 3).Run(
                            worker, tileBuffer, tiles, [new Product(new LinearWeights(matrix, biasPointer), outputPointer, rows, accumulate: true)]);
                    }
                }

                for (int token = 0; token < tokens; token++)
                {
                    for (int row = 0; row < rows; row++)
                    {
                        double expected = bias[row] + residual[(token * rows) + row];
                        for (int col = 0; col < cols; col++)
                        {
                            float weight = weights[(row * cols) + col];
                            expected += (double)(format == WeightFormat.BFloat16 ? BFloat16.Widen(BFloat16.Round(weight)) : weight) * input[(token * cols) + col];
                        }

                        Assert.Equal(expected, output[(token * rows) + row], tolerance: 1e-5 * (cols + 10));
                    }
                }

                Assert.All(output[^Guard..], value => Assert.Equal(7f, value));
            }
        }

        var unpacked = new float[cols];
        matrix.GetRow(rows - 1, unpacked);
        Assert.Equal(weights[((rows - 1) * cols)..].Select(w => format == WeightFormat.BFloat16 ? BFloat16.Widen(BFloat16.Round(w)) : w), unpacked);
    }

    private static float[] Values(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() * 2) - 1)];
}
