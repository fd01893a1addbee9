using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Xlstm.Cli.Bench;

/// <summary>The processor's name, for the head of a table of measurements.</summary>
internal static class CpuName
{
    private const int FirstBrandLeaf = unchecked((int)0x80000002);
    private const string CpuInfo = "/proc/cpuinfo";

    public static string Find()
    {
        string name = Brand() ?? FromCpuInfo() ?? "";
        return name.Length > 0 ? name : $"{RuntimeInformation.ProcessArchitecture} processor";
    }

    /// <summary>The brand string that an x86 processor holds itself, whatever the system.</summary>
    private static string? Brand()
    {
        if (!X86Base.IsSupported || (uint)X86Base.CpuId(unchecked((int)0x80000000), 0).Eax < unchecked((uint)FirstBrandLeaf) + 2)
        {
            return null;
        }

        Span<int> words = stackalloc int[12];
        for (int leaf = 0; leaf < 3; leaf++)
        {
            (words[4 * leaf], words[(4 * leaf) + 1], words[(4 * leaf) + 2], words[(4 * leaf) + 3]) = X86Base.CpuId(FirstBrandLeaf + leaf, 0);
        }

        return string.Join(' ', System.Text.Encoding.ASCII.GetString(MemoryMarshal.AsBytes(words)).Split((char[])[' ', '\0'], StringSplitOptions.RemoveEmptyEntries));
    }

    private static string? FromCpuInfo() =>
        File.Exists(CpuInfo) ? File.ReadLines(CpuInfo).FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[^1].Trim() : null;
}
