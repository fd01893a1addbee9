namespace Xlstm.Sessions;

/// <summary>A node of a <see cref="PrefixTree"/>: the tokens on the way to it from the root are a prefix that somebody has read.</summary>
internal sealed class PrefixNode
{
    /// <summary>Null for the root, and for a node that has left the tree.</summary>
    public PrefixNode? Parent { get; set; }

    /// <summary>Tokens between the parent and here; empty for the root.</summary>
    public int[] Edge { get; set; } = [];

    /// <summary>Tokens between the root and here.</summary>
    public int Depth { get; init; }

    /// <summary>By the first token of their edges.</summary>
    public Dictionary<int, PrefixNode> Children { get; } = [];

    /// <summary>The state after the prefix, in memory.</summary>
    public StateMark? Mark { get; set; }

    /// <summary>The state after the prefix, on disk.</summary>
    public CachedFile? File { get; set; }

    /// <summary>Whether a session can start from here.</summary>
    public bool HasState => Mark is not null || File is not null;

    /// <summary>The tokens between the root and here.</summary>
    public int[] Path()
    {
        var path = new int[Depth];
        for (PrefixNode node = this; node.Parent is not null; node = node.Parent)
        {
            node.Edge.CopyTo(path, node.Depth - node.Edge.Length);
        }

        return path;
    }
}

/// <summary>A radix tree over token ids: prefixes that share a start share its nodes. Not thread-safe.</summary>
internal sealed class PrefixTree
{
    /// <summary>The node of the empty prefix.</summary>
    public PrefixNode Root { get; } = new();

    /// <summary>Tokens on all edges.</summary>
    public long TokenCount { get; private set; }

    /// <summary>Follows tokens as far as the tree goes.</summary>
    /// <param name="tokens">Token ids.</param>
    /// <returns>The deepest node on the way that has a state, or null; and the number of tokens that the tree has in common with them.</returns>
    public (PrefixNode? Deepest, int Matched) Find(ReadOnlySpan<int> tokens)
    {
        PrefixNode node = Root;
        PrefixNode? deepest = null;
        while (node.Depth < tokens.Length && node.Children.TryGetValue(tokens[node.Depth], out PrefixNode? child))
        {
            int common = tokens[node.Depth..].CommonPrefixLength(child.Edge);
            if (common < child.Edge.Length)
            {
                return (deepest, node.Depth + common);
            }

            node = child;
            deepest = node.HasState ? node : deepest;
        }

        return (deepest, node.Depth);
    }

    /// <summary>The node of a prefix, made if there is none. A node that gets no state must be handed to <see cref="Prune"/>.</summary>
    /// <param name="tokens">At least one token id.</param>
    public PrefixNode Insert(ReadOnlySpan<int> tokens)
    {
        PrefixNode node = Root;
        while (node.Depth < tokens.Length)
        {
            ReadOnlySpan<int> rest = tokens[node.Depth..];
            if (!node.Children.TryGetValue(rest[0], out PrefixNode? child))
            {
                return Attach(node, rest);
            }

            int common = rest.CommonPrefixLength(child.Edge);
            node = common == child.Edge.Length ? child : Split(child, common);
        }

        return node;
    }

    /// <summary>Takes out what a node without a state leaves useless: itself if it has no children, or joins it with its only child.</summary>
    public void Prune(PrefixNode node)
    {
        while (!node.HasState && node.Parent is { } parent)
        {
            if (node.Children.Count > 1)
            {
                return;
            }

            if (node.Children.Count == 1)
            {
                PrefixNode child = node.Children.Values.Single();
                child.Edge = [.. node.Edge, .. child.Edge];
                child.Parent = parent;
                parent.Children[child.Edge[0]] = child;
                node.Parent = null;
                return;
            }

            parent.Children.Remove(node.Edge[0]);
            TokenCount -= node.Edge.Length;
            node.Parent = null;
            node = parent;
        }
    }

    private PrefixNode Attach(PrefixNode parent, ReadOnlySpan<int> edge)
    {
        var node = new PrefixNode { Parent = parent, Edge = edge.ToArray(), Depth = parent.Depth + edge.Length };
        parent.Children.Add(edge[0], node);
        TokenCount += edge.Length;
        return node;
    }

    private static PrefixNode Split(PrefixNode child, int length)
    {
        PrefixNode parent = child.Parent!;
        var middle = new PrefixNode { Parent = parent, Edge = child.Edge[..length], Depth = parent.Depth + length };
        parent.Children[child.Edge[0]] = middle;
        child.Edge = child.Edge[length..];
        child.Parent = middle;
        middle.Children.Add(child.Edge[0], child);
        return middle;
    }
}
