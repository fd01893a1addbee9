using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests;

/// <summary>Where the suite's data lies. What it depends on is committed; <c>../shared</c> beside the repository is more of it, which a clone may lack.</summary>
internal static class TestData
{
    public static string RepositoryRoot { get; } = FindRoot();

    public static string DemoModel => Path.Combine(RepositoryRoot, "models", "demo");

    /// <summary>The tiny checkpoints with golden logits.</summary>
    public static string Reference(string name) => Path.Combine(RepositoryRoot, "tests", "Xlstm.Tests", "Fixtures", "reference", name);

    public static IEnumerable<TheoryDataRow<string>> References =>
        [new("tiny-single"), new("tiny-fused-bias"), new("tiny-wide-bf16")];

    /// <summary>A file of <c>../shared</c>; the test is skipped where it is absent.</summary>
    public static string Shared(string relativePath)
    {
        string path = Path.Combine(RepositoryRoot, "..", "shared", relativePath);
        Assert.SkipUnless(File.Exists(path) || Directory.Exists(path), $"../shared/{relativePath} is not here");
        return path;
    }

    /// <summary>A whole tensor of a safetensors file.</summary>
    public static T[] Read<T>(SafetensorsFile file, string name)
        where T : unmanaged
    {
        SafetensorsTensor tensor = file.Tensors[name];
        var values = new T[tensor.ByteLength / Unsafe.SizeOf<T>()];
        file.Read(tensor, 0, MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }

    // Not by [CallerFilePath]: a build with CI=true maps source paths away.
    private static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Xlstm.slnx")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? throw new InvalidOperationException("the tests run outside a clone");
    }
}

/// <summary>What PyTorch made of a tiny checkpoint: logits of 150 given ids and 48 greedy ids after them.</summary>
internal sealed record Golden(int[] InputIds, float[] Logits, int[] Greedy, float[] Margins)
{
    public static Golden Load(string name)
    {
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(TestData.Reference(name), "golden.safetensors"));
        return new Golden(
            TestData.Read<int>(file, "input_ids"), TestData.Read<float>(file, "logits"), TestData.Read<int>(file, "greedy"), TestData.Read<float>(file, "margins"));
    }
}
