using Xlstm.Sessions;

namespace Xlstm;

/// <summary>What the head of a session file says.</summary>
/// <param name="Fingerprint">The model's <see cref="XlstmModel.Fingerprint"/>.</param>
/// <param name="Weights">How the model's weights were held: with others, what comes next may differ.</param>
/// <param name="StateFormat">How the state is held.</param>
/// <param name="Tokens">The tokens, waiting ones included.</param>
/// <param name="Position">Tokens that the state holds.</param>
/// <param name="Note">The text that was saved with it.</param>
public sealed record SessionFileInfo(string Fingerprint, WeightFormat Weights, StateFormat StateFormat, IReadOnlyList<int> Tokens, int Position, string Note);

/// <summary>Session files without a model.</summary>
public static class SessionFile
{
    /// <summary>Reads the head of a session file. Damage behind it shows only in <see cref="Session.LoadAsync"/>.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="XlstmException">The file is missing, not a session file, of a newer version, damaged or cut off.</exception>
    public static SessionFileInfo ReadInfo(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        (SessionFileHeader header, int[] tokens, string note) = SessionFileReader.ReadHead(path);
        return new SessionFileInfo(header.Fingerprint, header.Weights, header.StateFormat, tokens, header.Position, note);
    }
}
