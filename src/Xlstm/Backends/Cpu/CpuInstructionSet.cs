using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Xlstm.Backends.Cpu;

/// <summary>The instruction sets that have kernels of their own, the better ones of a machine last.</summary>
internal enum CpuInstructionSet
{
    /// <summary>128-bit vectors of whatever machine it is (Arm's AdvSimd, x86's SSE).</summary>
    Portable,

    /// <summary>Arm's 128-bit vectors, with dot products of bytes (Dp).</summary>
    AdvSimdDp,

    /// <summary>256-bit vectors with fused multiply-add.</summary>
    Avx2,

    /// <summary>AVX2 with dot products of bytes (AVX-VNNI).</summary>
    Avx2Vnni,

    /// <summary>512-bit vectors: AVX-512 F, BW, DQ and VL.</summary>
    Avx512,

    /// <summary>AVX-512 with 256-bit dot products of bytes (AVX-VNNI); .NET 10 has none of 512 bits.</summary>
    Avx512Vnni,
}

/// <summary>The one place where the instruction set is chosen.</summary>
internal static class CpuInstructionSets
{
    /// <summary>The best this machine has. The runtime's own switches (<c>DOTNET_EnableAVXVNNI=0</c>, <c>DOTNET_EnableAVX512=0</c>, <c>DOTNET_EnableAVX2=0</c>) take sets away.</summary>
    public static CpuInstructionSet Best => Enum.GetValues<CpuInstructionSet>().Last(IsSupported);

    /// <summary>Whether this machine runs a set's kernels.</summary>
    public static bool IsSupported(CpuInstructionSet set) => set switch
    {
        CpuInstructionSet.Avx512Vnni => IsSupported(CpuInstructionSet.Avx512) && AvxVnni.IsSupported,
        CpuInstructionSet.Avx512 => Avx512F.IsSupported && Avx512BW.IsSupported && Avx512DQ.IsSupported && Avx512F.VL.IsSupported,
        CpuInstructionSet.Avx2Vnni => IsSupported(CpuInstructionSet.Avx2) && AvxVnni.IsSupported,
        CpuInstructionSet.Avx2 => Avx2.IsSupported && Fma.IsSupported,
        CpuInstructionSet.AdvSimdDp => Dp.IsSupported,
        _ => true,
    };

    /// <summary>The set's name as people write it.</summary>
    public static string DisplayName(this CpuInstructionSet set) => set switch
    {
        CpuInstructionSet.Avx512Vnni => "AVX-512 and AVX-VNNI",
        CpuInstructionSet.Avx512 => "AVX-512",
        CpuInstructionSet.Avx2Vnni => "AVX2 and AVX-VNNI",
        CpuInstructionSet.Avx2 => "AVX2",
        CpuInstructionSet.AdvSimdDp => "AdvSimd and Dp",
        _ => "128-bit vectors",
    };
}
