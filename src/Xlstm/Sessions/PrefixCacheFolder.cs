using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using Xlstm.Checkpoints;

namespace Xlstm.Sessions;

/// <summary>A node's file.</summary>
/// <param name="Path">Where it lies.</param>
/// <param name="ByteLength">Its length.</param>
internal sealed record CachedFile(string Path, long ByteLength);

/// <summary>The files of a prefix cache: session files of one model, named after their tokens. Several processes may share the folder.</summary>
internal sealed class PrefixCacheFolder
{
    private const string Extension = ".xlstm-session";

    private readonly XlstmModel _model;
    private readonly string _folder;

    /// <param name="model">Whose states they are.</param>
    /// <param name="folder">Made if it is missing.</param>
    /// <exception cref="XlstmException">The folder cannot be made.</exception>
    public PrefixCacheFolder(XlstmModel model, string folder)
    {
        (_model, _folder) = (model, Path.GetFullPath(folder));
        try
        {
            Directory.CreateDirectory(_folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new XlstmException($"{folder}: the folder cannot be made: {ErrorText.Clean(e.Message)}", e);
        }

        ReplacedFile.DeleteAbandoned(_folder, "*");
    }

    /// <summary>The model's files and their tokens, least recently used first. Files of other models, and files that are none of ours, are passed over.</summary>
    public IEnumerable<(CachedFile File, int[] Tokens)> Enumerate()
    {
        foreach (FileInfo info in new DirectoryInfo(_folder).EnumerateFiles("*" + Extension).OrderBy(info => info.LastWriteTimeUtc))
        {
            (SessionFileHeader header, int[] tokens, string _) found;
            try
            {
                found = SessionFileReader.ReadHead(info.FullName);
            }
            catch (XlstmException)
            {
                continue;
            }

            SessionFileHeader header = found.header;
            bool ours = header.Fingerprint == _model.Fingerprint && header.Weights == _model.Weights && header.StateFormat == _model.StateFormat;
            if (ours && header.Position == found.tokens.Length && found.tokens.Length > 0)
            {
                yield return (new CachedFile(info.FullName, info.Length), found.tokens);
            }
        }
    }

    /// <summary>Writes the state after a prefix.</summary>
    /// <exception cref="XlstmException">The file cannot be written.</exception>
    public CachedFile Write(int[] tokens, StateMark mark)
    {
        // Different formats make different states of the same tokens.
        byte[] name = XxHash128.Hash([.. Encoding.UTF8.GetBytes($"{_model.Fingerprint} {_model.Weights} {_model.StateFormat} "), .. MemoryMarshal.AsBytes(tokens.AsSpan())]);
        string path = Path.Combine(_folder, Convert.ToHexStringLower(name) + Extension);
        var segments = new SegmentLog();
        segments.Add(tokens.Length);
        SessionFileWriter.Write(path, _model, tokens, segments, mark, _model.StateFormat, "", CancellationToken.None);
        return new CachedFile(path, new FileInfo(path).Length);
    }

    /// <summary>Reads the state after a prefix; null if the file is gone, damaged or of another prefix. Such a file is deleted.</summary>
    public StateMark? Read(CachedFile file, ReadOnlySpan<int> tokens)
    {
        try
        {
            SessionFileContent content = SessionFileReader.Read(file.Path, _model, CancellationToken.None);
            if (content.Tokens.AsSpan().SequenceEqual(tokens) && content.Mark is { } mark && mark.Position == tokens.Length)
            {
                File.SetLastWriteTimeUtc(file.Path, DateTime.UtcNow);
                return mark;
            }

            content.Mark?.Release();
        }
        catch (Exception e) when (e is XlstmException or IOException or UnauthorizedAccessException)
        {
            // A cache may lose things: the prompt is read instead.
        }

        Delete(file);
        return null;
    }

    /// <summary>Deletes a file, if it can be.</summary>
    public static void Delete(CachedFile file)
    {
        try
        {
            File.Delete(file.Path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Another process may be reading it; it is forgotten here all the same.
        }
    }
}
