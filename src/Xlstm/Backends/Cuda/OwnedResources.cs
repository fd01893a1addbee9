namespace Xlstm.Backends.Cuda;

/// <summary>What an object has made and frees with itself, the last first; also when it fails halfway through making them.</summary>
internal sealed class OwnedResources : IDisposable
{
    private readonly Stack<IDisposable> _owned = [];

    /// <summary>Takes something over.</summary>
    public T Add<T>(T made)
        where T : IDisposable
    {
        _owned.Push(made);
        return made;
    }

    /// <summary>Runs what makes more of them; frees all if it fails.</summary>
    public T OrNothing<T>(Func<OwnedResources, T> make)
    {
        try
        {
            return make(this);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        while (_owned.TryPop(out IDisposable? made))
        {
            made.Dispose();
        }
    }
}
