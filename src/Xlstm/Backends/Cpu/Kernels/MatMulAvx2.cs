namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>AVX2 with FMA: a panel's 16 rows are two vectors, l and h. Sixteen registers hold a panel times four or six tokens, so wider groups are walked piece by piece. One file a weight format.</summary>
internal unsafe partial class MatMulAvx2 : MatMulKernel
{
    /// <summary>Far enough ahead to hide DRAM's latency behind two or four streams.</summary>
    private protected const int PrefetchBytes = 2048;

    /// <summary>Tokens of a wide tile that the accumulators are enough for.</summary>
    private protected const int WideStep = 6;
}
