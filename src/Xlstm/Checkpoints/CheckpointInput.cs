using Microsoft.Win32.SafeHandles;

namespace Xlstm.Checkpoints;

/// <summary>Opens files of a checkpoint folder: links are followed (the Hugging Face cache is made of them), what is not a file with content is refused before it is opened.</summary>
internal static class CheckpointInput
{
    /// <summary>Opens a file for positioned reads.</summary>
    /// <exception cref="CheckpointException">The file is missing, empty, not a file, or cannot be opened.</exception>
    public static SafeFileHandle Open(string path, out long length)
    {
        try
        {
            FileInfo file = Resolve(path);
            length = file.Length;
            if (length == 0)
            {
                // Pipes and devices show a length of zero too, and opening a pipe would wait for its writer.
                throw new CheckpointException($"{path}: the file is empty");
            }

            SafeFileHandle handle = File.OpenHandle(file.FullName, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
            length = RandomAccess.GetLength(handle);
            return handle;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            throw new CheckpointException($"{path}: cannot be opened: {ErrorText.Clean(e.Message)}", e);
        }
    }

    /// <summary>Reads a whole small file (config, index), without a byte order mark.</summary>
    /// <exception cref="CheckpointException">The file cannot be opened or read, or is longer than <paramref name="maxLength"/>.</exception>
    public static ReadOnlyMemory<byte> ReadAll(string path, int maxLength)
    {
        using SafeFileHandle handle = Open(path, out long length);
        if (length > maxLength)
        {
            throw new CheckpointException($"{path}: {length} bytes long, expected at most {maxLength}");
        }

        byte[] bytes = new byte[length];
        ReadExactly(handle, path, what: "the file", bytes, 0);
        return bytes.AsSpan().StartsWith("\uFEFF"u8) ? bytes.AsMemory(3) : bytes;
    }

    /// <summary>Fills <paramref name="destination"/> from <paramref name="offset"/> on. Thread-safe.</summary>
    /// <exception cref="CheckpointException">The file ends too early or cannot be read.</exception>
    public static void ReadExactly(SafeFileHandle handle, string path, string what, Span<byte> destination, long offset)
    {
        int done = 0;
        while (done < destination.Length)
        {
            int read;
            try
            {
                read = RandomAccess.Read(handle, destination[done..], offset + done);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new CheckpointException($"{path}: {what} cannot be read: {ErrorText.Clean(e.Message)}", e);
            }

            if (read == 0)
            {
                throw new CheckpointException($"{path}: {what} ends early: the file got shorter than {offset + destination.Length} bytes since it was opened");
            }

            done += read;
        }
    }

    private static FileInfo Resolve(string path)
    {
        var file = new FileInfo(path);
        if (file.LinkTarget is { } target)
        {
            return file.ResolveLinkTarget(returnFinalTarget: true) is FileInfo { Exists: true } final
                ? final
                : throw new CheckpointException($"{path}: links to {ErrorText.Quote(target)}, where there is no file");
        }

        if (!file.Exists)
        {
            throw new CheckpointException(Directory.Exists(path) ? $"{path}: is a folder, expected a file" : $"{path}: no such file");
        }

        return file;
    }
}
