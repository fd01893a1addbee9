using BenchmarkDotNet.Attributes;
using Xlstm.Backends.Cpu;
using Xlstm.Backends.Cpu.Kernels;
using Xlstm.Memory;

namespace Xlstm.Benchmarks.Kernels;

/// <summary>What is done to rows of activations between the matrices, at the widths of xLSTM-7B, one thread, in cache.</summary>
public unsafe class RowBenchmarks : IKernelBenchmark, IDisposable
{
    private const int D = 4096;
    private const int Dv = 512;
    private const int F = 10944;

    private NativeBuffer? _memory;

    private float* X => (float*)_memory!.Pointer;

    private float* Other => X + F;

    private float* Weight => Other + F;

    private float* Y => Weight + F;

    /// <summary>Makes rows.</summary>
    [GlobalSetup]
    public void SetUp()
    {
        _memory = new NativeBuffer((sizeof(float) * 4 * F) + TileInputs.TokenBytes(F, Encodings.Bytes));
        var random = new Random(1);
        foreach (ref float value in new Span<float>(_memory.Pointer, 3 * F))
        {
            value = random.NextSingle() - 0.5f;
        }
    }

    /// <summary>RMSNorm of D values.</summary>
    [Benchmark]
    public void RmsNorm() => Norms.RmsNorm(X, Weight, null, D, 1e-6f, Y);

    /// <summary>multihead_norm and output gate of one head of 512 values.</summary>
    [Benchmark]
    public void GatedHeadNorm() => Norms.GatedHeadNorm(X, Other, Weight, null, Dv, 1e-6f, Y);

    /// <summary>SwiGLU of F values.</summary>
    [Benchmark]
    public void SwiGlu() => Activations.SwiGlu(X, Other, F, Y);

    /// <summary>Activations of D values to 8 bits.</summary>
    [Benchmark]
    public void Quantize() => QuantizedTiles.SetRow(new ActivationTiles(1), 0, X, D, null, (byte*)Y);

    /// <summary>Frees what <see cref="SetUp"/> made.</summary>
    [GlobalCleanup]
    public void Dispose()
    {
        _memory?.Dispose();
        GC.SuppressFinalize(this);
    }

    // Bytes read.
    Work IKernelBenchmark.WorkOf(string method) => new(0, sizeof(float) * method switch
    {
        nameof(RmsNorm) => 2.0 * D,
        nameof(GatedHeadNorm) => 3.0 * Dv,
        nameof(SwiGlu) => 2.0 * F,
        _ => D,
    });
}
