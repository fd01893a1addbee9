using Xunit;

namespace Xlstm.Tests.Generation;

/// <summary>Tests that look at the whole process and so must run while no other does.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}

/// <summary>A step of decoding in steady state leaves nothing for the garbage collector.</summary>
[Collection(Alone.Name)]
public sealed class AllocationTests
{
    [Fact]
    public async Task DecodingAllocatesNothing()
    {
        using XlstmModel model = XlstmModel.Load(TestData.DemoModel);
        using Session session = model.CreateSession();
        session.Append("Once upon a time");
        var options = new GenerationOptions { MaxNewTokens = 400, Sampling = new SamplingOptions { Greedy = true }, IgnoreEndOfText = true };
        int made = 0;
        long before = 0, after = 0;
        await foreach (GeneratedToken token in session.GenerateAsync(options, TestContext.Current.CancellationToken))
        {
            // Greedy text of the demo goes round in circles: by then every token's text is cached and every list has its room.
            switch (++made)
            {
                case 300:
                    before = GC.GetTotalAllocatedBytes(precise: true);
                    break;
                case 360:
                    after = GC.GetTotalAllocatedBytes(precise: true);
                    break;
                default:
                    _ = token;
                    break;
            }
        }

        // Other threads of the process (the runner's timers, the JIT) may allocate a little meanwhile; one object a step would
        // be more than this.
        Assert.InRange(after - before, 0, 60 * 24 - 1);
    }
}
