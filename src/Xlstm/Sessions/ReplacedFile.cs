using Microsoft.Win32.SafeHandles;
using Xlstm.Checkpoints;

namespace Xlstm.Sessions;

/// <summary>
/// A file in the making under a temporary name beside its target, which it replaces in one step once it is whole and on the
/// disk. A process that dies meanwhile leaves the old file as it was; what it left behind goes with the next save.
/// </summary>
internal sealed class ReplacedFile : IDisposable
{
    private const string TemporaryExtension = ".partial";

    private readonly string _path;
    private readonly string _temporaryPath;
    private readonly SafeFileHandle _handle;
    private bool _completed;

    private ReplacedFile(string path, string temporaryPath, SafeFileHandle handle) => (_path, _temporaryPath, _handle) = (path, temporaryPath, handle);

    /// <summary>Starts a file.</summary>
    /// <param name="path">The target.</param>
    /// <param name="byteLength">Its length, so that a full disk shows now.</param>
    /// <exception cref="XlstmException">The file cannot be made.</exception>
    public static ReplacedFile Create(string path, long byteLength)
    {
        string full = Path.GetFullPath(path);
        string temporary = $"{full}.{Path.GetRandomFileName()}{TemporaryExtension}";
        return Try(path, () =>
        {
            // Shared for deletion, so that it can be renamed while it is open: until then the lock tells others that it is in use.
            SafeFileHandle handle = File.OpenHandle(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.Delete, FileOptions.None, byteLength);
            return new ReplacedFile(full, temporary, handle);
        });
    }

    /// <summary>Writes bytes at any place.</summary>
    /// <exception cref="XlstmException">The file cannot be written.</exception>
    public void Write(ReadOnlySpan<byte> bytes, long offset)
    {
        try
        {
            RandomAccess.Write(_handle, bytes, offset);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CannotWrite(_path, e);
        }
    }

    /// <summary>Waits until the bytes are on the disk, then gives the file its name.</summary>
    /// <exception cref="XlstmException">The file cannot be written or renamed.</exception>
    public void Complete()
    {
        Try(_path, () =>
        {
            RandomAccess.FlushToDisk(_handle);
            File.Move(_temporaryPath, _path, overwrite: true);
            return true;
        });
        _completed = true;
        DeleteAbandoned(Path.GetDirectoryName(_path)!, Path.GetFileName(_path));
    }

    /// <summary>Closes the file; deletes it unless it was completed.</summary>
    public void Dispose()
    {
        _handle.Dispose();
        if (!_completed)
        {
            TryDelete(_temporaryPath);
        }
    }

    /// <summary>Deletes temporary files whose writers are gone.</summary>
    /// <param name="folder">Where.</param>
    /// <param name="name">Of the target that they were to replace; <c>*</c> for all.</param>
    public static void DeleteAbandoned(string folder, string name)
    {
        try
        {
            foreach (string path in Directory.EnumerateFiles(folder, $"{name}.*{TemporaryExtension}"))
            {
                try
                {
                    File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None).Dispose();
                    TryDelete(path);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    // Somebody is still writing it, or it is gone.
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Tidying up is a courtesy; the save itself went well.
        }
    }

    private static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // What went wrong before is being reported already; a stray file must not hide it.
        }
    }

    private static T Try<T>(string path, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw CannotWrite(path, e);
        }
    }

    private static XlstmException CannotWrite(string path, Exception e) => new($"{path}: cannot be written: {ErrorText.Clean(e.Message)}", e);
}
