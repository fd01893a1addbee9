using System.Collections;

namespace Xlstm.Tests;

/// <summary>Disposes what it holds.</summary>
internal sealed class DisposableList<T>(IEnumerable<T> items) : IReadOnlyList<T>, IDisposable
    where T : IDisposable
{
    private readonly T[] _items = [.. items];

    public int Count => _items.Length;

    public T this[int index] => _items[index];

    public IEnumerator<T> GetEnumerator() => ((IEnumerable<T>)_items).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => _items.GetEnumerator();

    public void Dispose() => Array.ForEach(_items, item => item.Dispose());
}
