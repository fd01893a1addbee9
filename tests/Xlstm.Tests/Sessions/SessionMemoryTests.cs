using Xunit;

namespace Xlstm.Tests.Sessions;

/// <summary>Alone in the process while it runs: it measures the whole heap.</summary>
[CollectionDefinition(nameof(SessionMemoryTests), DisableParallelization = true)]
[Collection(nameof(SessionMemoryTests))]
public sealed class SessionMemoryTests(TinyModel tiny) : IClassFixture<TinyModel>
{
    /// <summary>Risk: memory grows with the tokens generated, other than by their ids.</summary>
    [Fact]
    public async Task DoesNotGrowWithTheTokens()
    {
        const int Tokens = 20_000;
        using Session session = tiny.Model.CreateSession();
        await session.GreedyAsync(10);
        long before = GC.GetTotalMemory(forceFullCollection: true);
        await session.GreedyAsync(Tokens);
        long after = GC.GetTotalMemory(forceFullCollection: true);

        // A list of ids that doubles when it is full: at most 8 bytes a token, and some slack for the runtime.
        Assert.InRange(after - before, long.MinValue, (8 * Tokens) + 200_000);
    }
}
