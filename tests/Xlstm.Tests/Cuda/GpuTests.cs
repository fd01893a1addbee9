using Xunit;

namespace Xlstm.Tests.Cuda;

/// <summary>The tests that use the GPU run one after the other: one of them counts its free memory.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public class GpuTests
{
    public const string Name = "GPU";
}
