using CsCheck;
using Xlstm.Sessions;
using Xunit;

namespace Xlstm.Tests.Sessions;

/// <summary>Risk: the tree finds a wrong prefix, misses one, or keeps nodes that nobody needs. Against a plain list of prefixes.</summary>
public sealed class PrefixTreeTests
{
    [Fact]
    public void AgreesWithAPlainList() =>
        Gen.Select(Gen.Int[0, 2].Array[1, 8], Gen.Bool).List[1, 40].Sample(
            operations =>
            {
                var tree = new PrefixTree();
                var held = new List<int[]>();
                foreach ((int[] tokens, bool remove) in operations)
                {
                    int index = held.FindIndex(tokens.SequenceEqual);
                    PrefixNode node = tree.Insert(tokens);
                    Assert.Equal(tokens, node.Path());
                    if (remove)
                    {
                        held.RemoveAll(tokens.SequenceEqual);
                        node.File = null;
                        tree.Prune(node);
                    }
                    else if (index < 0)
                    {
                        held.Add(tokens);
                        node.File = new CachedFile("", 0);
                    }

                    foreach ((int[] wanted, bool _) in operations)
                    {
                        (PrefixNode? deepest, int matched) = tree.Find(wanted);
                        Assert.Equal(held.Where(h => wanted.AsSpan().StartsWith(h)).MaxBy(h => h.Length), deepest?.Path());
                        Assert.Equal(held.Select(h => h.AsSpan().CommonPrefixLength(wanted)).DefaultIfEmpty().Max(), matched);
                    }

                    int distinct = held.SelectMany(h => Enumerable.Range(1, h.Length).Select(n => string.Join(',', h.Take(n)))).Distinct().Count();
                    Assert.Equal(distinct, tree.TokenCount);
                }
            },
            iter: 300,
            seed: "0000KOIPrtc4");
}
