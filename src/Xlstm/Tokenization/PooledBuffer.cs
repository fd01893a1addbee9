using System.Buffers;
using System.Runtime.CompilerServices;

namespace Xlstm.Tokenization;

/// <summary>A growing array of values on rented memory. Pass it by reference and dispose of it once.</summary>
internal ref struct PooledBuffer<T>
    where T : unmanaged
{
    private T[] _items;

    public PooledBuffer(int capacity)
    {
        _items = ArrayPool<T>.Shared.Rent(capacity);
    }

    public int Count { get; private set; }

    public readonly Span<T> Written => _items.AsSpan(0, Count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(T item)
    {
        if (Count == _items.Length)
            Grow(1);
        _items[Count++] = item;
    }

    public void Add(scoped ReadOnlySpan<T> items) => items.CopyTo(Reserve(items.Length));

    /// <summary>Appends <paramref name="count"/> items for the caller to fill.</summary>
    public Span<T> Reserve(int count)
    {
        if (count > _items.Length - Count)
            Grow(count);
        Span<T> reserved = _items.AsSpan(Count, count);
        Count += count;
        return reserved;
    }

    /// <summary>Takes items off the end.</summary>
    public void Truncate(int count) => Count = count;

    public void Dispose()
    {
        ArrayPool<T>.Shared.Return(_items);
        _items = [];
        Count = 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Grow(int more)
    {
        int wanted = checked(Count + more);
        T[] larger = ArrayPool<T>.Shared.Rent((int)Math.Min(Math.Max(wanted, 2L * _items.Length), Array.MaxLength));
        Written.CopyTo(larger);
        ArrayPool<T>.Shared.Return(_items);
        _items = larger;
    }
}
