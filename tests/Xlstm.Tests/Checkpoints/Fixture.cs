using System.Runtime.CompilerServices;

namespace Xlstm.Tests.Checkpoints;

/// <summary>Where committed fixtures lie.</summary>
internal static class Fixture
{
    /// <summary>The tiny checkpoints with goldens: tiny-single (two F32 shards), tiny-fused-bias (fused, biased), tiny-wide-bf16.</summary>
    public static string Reference(string name) => Path.Combine(ProjectFolder(), "Fixtures", "reference", name);

    private static string ProjectFolder([CallerFilePath] string thisFile = "") => Path.GetDirectoryName(Path.GetDirectoryName(thisFile))!;
}
