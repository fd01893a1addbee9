namespace Xlstm.Cli.Tests;

/// <summary>Paths in the clone that the tests run from.</summary>
internal static class Repository
{
    public static string Root { get; } = Find();

    public static string Demo { get; } = Path.Combine(Root, "models", "demo");

    private static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Xlstm.slnx")))
            {
                return folder.FullName;
            }
        }
        throw new InvalidOperationException("The tests run outside a clone.");
    }
}
