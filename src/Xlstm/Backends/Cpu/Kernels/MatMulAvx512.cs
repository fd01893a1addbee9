namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>AVX-512: a panel's 16 rows are one vector. Accumulators are named locals, since only those live in registers. One file a weight format.</summary>
internal unsafe partial class MatMulAvx512 : MatMulKernel
{
    // Far enough ahead to hide DRAM's latency behind four streams.
    private const int PrefetchBytes = 2048;

    // Some ten steps of a wide tile.
    private const int TilePrefetchBytes = 1024;
}
