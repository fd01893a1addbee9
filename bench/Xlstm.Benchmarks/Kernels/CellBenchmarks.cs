using BenchmarkDotNet.Attributes;
using Xlstm.Backends.Cpu.Kernels;
using Xlstm.Memory;

namespace Xlstm.Benchmarks.Kernels;

/// <summary>The mLSTM cell of one head of xLSTM-7B on one thread, for one token (decode) and for many (prefill).</summary>
public unsafe class CellBenchmarks : IKernelBenchmark, IDisposable
{
    private const int Dqk = 256;
    private const int Dv = 512;
    private const int MostTokens = 128;

    // More heads than a cache holds, as in a model: its state is 256 heads.
    private const int Heads = 256;

    private NativeBuffer? _state;
    private NativeBuffer? _inputs;
    private NativeBuffer? _scratch;
    private int _head;

    /// <summary>T.</summary>
    [Params(1, MostTokens)]
    public int Tokens { get; set; }

    /// <summary>Makes a state and inputs.</summary>
    [GlobalSetup]
    public void SetUp()
    {
        _state = new NativeBuffer(sizeof(float) * (long)Heads * ((Dqk * Dv) + Dqk + 16));
        _inputs = new NativeBuffer(sizeof(float) * MostTokens * (long)((2 * Dqk) + (2 * Dv) + 16));
        _scratch = new NativeBuffer(sizeof(float) * Dqk * MlstmCell.ColumnBlock);
        var random = new Random(1);
        foreach (ref float value in new Span<float>(_inputs.Pointer, MostTokens * ((2 * Dqk) + (2 * Dv))))
        {
            value = random.NextSingle() - 0.5f;
        }
    }

    /// <summary>The scalars of every step, then C moved on and multiplied by q.</summary>
    [Benchmark]
    public void Cell()
    {
        float* state = (float*)_state!.Pointer + (_head * (long)((Dqk * Dv) + Dqk + 16));
        float* q = (float*)_inputs!.Pointer, k = q + (MostTokens * Dqk), v = k + (MostTokens * Dqk), h = v + (MostTokens * Dv), gates = h + (MostTokens * Dv);
        var scalars = stackalloc MlstmCell.StepScalars[MostTokens];
        MlstmCell.Gates(q, k, Dqk, gates, gates + 1, 2, Tokens, Dqk, 15, 1e-6f, state + (Dqk * Dv), state + (Dqk * Dv) + Dqk, scalars, 1);
        int step = Tokens == 1 ? Dv : MlstmCell.ColumnBlock;
        for (int column = 0; column < Dv; column += step)
        {
            MlstmCell.Values(state, Dv, column, step, q, k, Dqk, v, h, Dv, Tokens, Dqk, scalars, 1, (float*)_scratch!.Pointer);
        }

        _head = (_head + 1) % Heads;
    }

    /// <summary>Frees what <see cref="SetUp"/> made.</summary>
    [GlobalCleanup]
    public void Dispose()
    {
        _state?.Dispose();
        _inputs?.Dispose();
        _scratch?.Dispose();
        GC.SuppressFinalize(this);
    }

    // Three multiplications an element of C a step: its decay, k v and q C.
    Work IKernelBenchmark.WorkOf(string method) => new(3.0 * Tokens * Dqk * Dv, 2.0 * sizeof(float) * Dqk * Dv);
}
