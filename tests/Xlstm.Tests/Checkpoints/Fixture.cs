namespace Xlstm.Tests.Checkpoints;

/// <summary>Where committed fixtures lie.</summary>
internal static class Fixture
{
    private static readonly string Root = FindRoot();

    /// <summary>The tiny checkpoints with goldens: tiny-single (two F32 shards), tiny-fused-bias (one file, fused, biased), tiny-wide-bf16 (one file).</summary>
    public static string Reference(string name) => Path.Combine(Root, "tests", "Xlstm.Tests", "Fixtures", "reference", name);

    private static string FindRoot()
    {
        // From the assembly up: source paths that the compiler embeds are rewritten in deterministic builds.
        for (string? folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "Xlstm.slnx")))
            {
                return folder;
            }
        }

        throw new InvalidOperationException("The tests do not run inside the repository.");
    }
}
