using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Xlstm.Backends.Cpu;
using Xlstm.Backends.Cpu.Kernels;
using Xlstm.Checkpoints.Packed;
using Xlstm.Memory;
using Xunit;

namespace Xlstm.Tests.Backends;

/// <summary>Packed products against a plain loop: odd sizes, partial panels, every tile width, biases and residuals, on every instruction set; and where multiply-add is fused, all give the same bits.</summary>
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

        float[] held = new float[rows * cols];
        for (int row = 0; row < rows; row++)
        {
            matrix.GetRow(row, held.AsSpan(row * cols, cols));
        }

        float[]? first = null;
        foreach (MatMulKernel kernel in Kernels)
        {
            float[] output = Multiply(kernel, matrix, input, tokens, bias, residual);
            for (int token = 0; token < tokens; token++)
            {
                for (int row = 0; row < rows; row++)
                {
                    double expected = bias[row] + residual[(token * rows) + row], bound = 1e-5 * (cols + 10);
                    for (int col = 0; col < cols; col++)
                    {
                        expected += (double)held[(row * cols) + col] * input[(token * cols) + col];
                        bound += Math.Abs(held[(row * cols) + col]) * ActivationError(format, input.AsSpan(token * cols, cols), col);
                    }

                    Assert.Equal(expected, output[(token * rows) + row], bound);
                }
            }

            if (Fma.IsSupported || AdvSimd.IsSupported)
            {
                Assert.Equal(first ??= output, output);
            }
        }

        for (int i = 0; i < held.Length; i++)
        {
            Assert.Equal(weights[i], held[i], tolerance: WeightError(format));
        }
    }

    /// <summary>Every kernel that this machine runs, and those whose instruction it lacks with a model of the instruction.</summary>
    private static IEnumerable<MatMulKernel> Kernels =>
        Enum.GetValues<CpuInstructionSet>().Where(CpuInstructionSets.IsSupported).Select(MatMulKernel.For)
            .Concat(CpuInstructionSets.IsSupported(CpuInstructionSet.Avx2) ? [new MatMulVnni<ModelOfVnni>()] : []);

    private static float[] Multiply(MatMulKernel kernel, PackedMatrix matrix, float[] input, int tokens, float[] bias, float[] residual)
    {
        const int Guard = 16;
        var output = new float[(tokens * matrix.Rows) + Guard];
        residual.CopyTo(output, 0);
        Array.Fill(output, 7f, tokens * matrix.Rows, Guard);
        Encodings encodings = kernel.EncodingOf(matrix.Format);
        int room = ActivationTiles.PaddedCount(tokens);
        using var tileMemory = new NativeBuffer(room * TileInputs.TokenBytes(matrix.Cols, encodings));
        TileInputs inputs = TileInputs.Lay(tileMemory.Pointer, room, matrix.Cols, encodings);
        var tiles = new ActivationTiles(tokens);
        fixed (float* inputPointer = input, biasPointer = bias, outputPointer = output)
        {
            for (int token = 0; token < tokens; token++)
            {
                inputs.SetRow(tiles, token, inputPointer + (token * matrix.Cols), matrix.Cols);
            }

            for (int worker = 0; worker < 3; worker++)
            {
                new PanelProducts(kernel, 3).Run(worker, inputs, tiles, [new Product(new LinearWeights(matrix, biasPointer), outputPointer, matrix.Rows, accumulate: true)]);
            }
        }

        Assert.All(output[^Guard..], value => Assert.Equal(7f, value));
        return output[..^Guard];
    }

    /// <summary>Most that a weight in [-1, 1] may change when it is packed.</summary>
    private static float WeightError(WeightFormat format) => format switch
    {
        WeightFormat.Float32 => 0,
        WeightFormat.BFloat16 => 1f / 256,
        WeightFormat.Int8 => 1.01f / 254,
        _ => 1.8f * (2f / 30), // the search may cut the extremes off, and the minimum is rounded too
    };

    /// <summary>Half a step of the activation's group.</summary>
    private static double ActivationError(WeightFormat format, ReadOnlySpan<float> row, int col)
    {
        if (format is WeightFormat.Float32 or WeightFormat.BFloat16)
        {
            return 0;
        }

        int first = col / PackedMatrix.GroupSize * PackedMatrix.GroupSize;
        float largest = 0;
        foreach (float value in row[first..Math.Min(row.Length, first + PackedMatrix.GroupSize)])
        {
            largest = Math.Max(largest, MathF.Abs(value));
        }

        return largest / 254;
    }

    /// <summary>What vpdpbusd does, in instructions of any machine: 255 * 128 fits 16 bits, the sum of two such products does not.</summary>
    private readonly struct ModelOfVnni : IDotProduct256
    {
        public static Vector256<int> MultiplyAdd(Vector256<int> sum, Vector256<byte> weights, Vector256<sbyte> activations)
        {
            Vector256<short> w = weights.AsInt16(), x = activations.AsInt16();
            Vector256<int> even = ((w & Vector256.Create((short)0xFF)) * ((x << 8) >> 8)).AsInt32(), odd = ((w >>> 8) * (x >> 8)).AsInt32();
            return sum + (((even << 16) >> 16) + (even >> 16)) + (((odd << 16) >> 16) + (odd >> 16));
        }
    }

    private static float[] Values(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() * 2) - 1)];
}
