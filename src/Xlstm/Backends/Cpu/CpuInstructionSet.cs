using System.Runtime.Intrinsics.X86;

namespace Xlstm.Backends.Cpu;

/// <summary>The instruction sets that have kernels of their own.</summary>
internal enum CpuInstructionSet
{
    /// <summary>128-bit vectors of whatever machine it is (Arm's AdvSimd, x86's SSE).</summary>
    Portable,

    /// <summary>256-bit vectors with fused multiply-add.</summary>
    Avx2,

    /// <summary>512-bit vectors: AVX-512 F, BW, DQ and VL.</summary>
    Avx512,
}

/// <summary>The one place where the instruction set is chosen.</summary>
internal static class CpuInstructionSets
{
    /// <summary>The widest this machine has. The runtime's own switches (<c>DOTNET_EnableAVX512=0</c>, <c>DOTNET_EnableAVX2=0</c>) take sets away.</summary>
    public static CpuInstructionSet Best =>
        IsSupported(CpuInstructionSet.Avx512) ? CpuInstructionSet.Avx512
        : IsSupported(CpuInstructionSet.Avx2) ? CpuInstructionSet.Avx2
        : CpuInstructionSet.Portable;

    /// <summary>Whether this machine runs a set's kernels.</summary>
    public static bool IsSupported(CpuInstructionSet set) => set switch
    {
        CpuInstructionSet.Avx512 => Avx512F.IsSupported && Avx512BW.IsSupported && Avx512DQ.IsSupported && Avx512F.VL.IsSupported,
        CpuInstructionSet.Avx2 => Avx2.IsSupported && Fma.IsSupported,
        _ => true,
    };

    /// <summary>The set's name as people write it.</summary>
    public static string DisplayName(this CpuInstructionSet set) => set switch
    {
        CpuInstructionSet.Avx512 => "AVX-512",
        CpuInstructionSet.Avx2 => "AVX2",
        _ => "128-bit vectors",
    };
}
