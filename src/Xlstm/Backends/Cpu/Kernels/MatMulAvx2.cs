namespace Xlstm.Backends.Cpu.Kernels;

/// <summary>AVX2 with FMA: a panel's 16 rows are two vectors, l and h. Sixteen registers hold a panel times four or six tokens, so wider groups are walked piece by piece. One file a weight format.</summary>
internal sealed unsafe partial class MatMulAvx2 : MatMulKernel
{
    private const int PrefetchBytes = 2048;

    private const int WideStep = 6;
}
