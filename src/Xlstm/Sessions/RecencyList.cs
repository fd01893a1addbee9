namespace Xlstm.Sessions;

/// <summary>Nodes in the order of their last use. Not thread-safe.</summary>
internal sealed class RecencyList
{
    private readonly LinkedList<PrefixNode> _order = [];
    private readonly Dictionary<PrefixNode, LinkedListNode<PrefixNode>> _places = [];

    /// <summary>Nodes in the list.</summary>
    public int Count => _order.Count;

    /// <summary>The node not used for the longest time; null if there is none.</summary>
    public PrefixNode? Oldest => _order.First?.Value;

    /// <summary>Notes a use; a new node enters the list.</summary>
    public void Touch(PrefixNode node)
    {
        if (_places.TryGetValue(node, out LinkedListNode<PrefixNode>? place))
        {
            _order.Remove(place);
            _order.AddLast(place);
        }
        else
        {
            _places.Add(node, _order.AddLast(node));
        }
    }

    /// <summary>Takes a node out.</summary>
    public void Remove(PrefixNode node)
    {
        if (_places.Remove(node, out LinkedListNode<PrefixNode>? place))
        {
            _order.Remove(place);
        }
    }
}
