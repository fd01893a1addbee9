namespace Xlstm.Checkpoints;

/// <summary>A folder in the making: filled under a temporary name beside the target and renamed at the end, or deleted.</summary>
internal sealed class NewFolder : IDisposable
{
    private readonly string _path;
    private bool _completed;

    private NewFolder(string path, string temporaryPath)
    {
        _path = path;
        TemporaryPath = temporaryPath;
    }

    /// <summary>Where to write files.</summary>
    public string TemporaryPath { get; }

    /// <summary>Creates the temporary folder.</summary>
    /// <param name="folder">The target; must not exist or be empty.</param>
    /// <param name="bytes">What will be written, compared with the free space.</param>
    /// <exception cref="XlstmException">The target is not empty, the disk has too little space, or the folder cannot be made.</exception>
    public static NewFolder Create(string folder, long bytes)
    {
        string path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        string? parent = Path.GetDirectoryName(path);
        return Try(folder, () =>
        {
            if (File.Exists(path))
            {
                throw new XlstmException($"{folder}: is a file, expected a new folder");
            }

            if (Directory.Exists(path) && Directory.EnumerateFileSystemEntries(path).Any())
            {
                throw new XlstmException($"{folder}: is not empty");
            }

            if (parent is null || !Directory.Exists(parent))
            {
                throw new XlstmException($"{folder}: there is no folder {parent} to make it in");
            }

            long free = new DriveInfo(OperatingSystem.IsWindows() ? Path.GetPathRoot(path)! : parent).AvailableFreeSpace;
            if (bytes > free)
            {
                throw new XlstmException(FormattableString.Invariant($"{folder}: needs {bytes / 1e9:f1} GB, but only {free / 1e9:f1} GB are free there"));
            }

            string temporary = $"{path}.{Path.GetRandomFileName()}.partial";
            Directory.CreateDirectory(temporary);
            return new NewFolder(path, temporary);
        });
    }

    /// <summary>Writes a small file.</summary>
    public void WriteFile(string name, byte[] content) => Try(Path.Combine(_path, name), () =>
    {
        File.WriteAllBytes(Path.Combine(TemporaryPath, name), content);
        return true;
    });

    /// <summary>Gives the folder its name.</summary>
    public void Complete()
    {
        Try(_path, () =>
        {
            if (Directory.Exists(_path))
            {
                Directory.Delete(_path);
            }

            Directory.Move(TemporaryPath, _path);
            return true;
        });
        _completed = true;
    }

    /// <summary>Deletes what was written unless it was completed.</summary>
    public void Dispose()
    {
        if (!_completed)
        {
            try
            {
                Directory.Delete(TemporaryPath, recursive: true);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // What made the synthesis fail is being reported already.
            }
        }
    }

    private static T Try<T>(string path, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new XlstmException($"{path}: cannot be written: {ErrorText.Clean(e.Message)}", e);
        }
    }
}
