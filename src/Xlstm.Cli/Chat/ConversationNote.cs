using System.Text.Json;
using System.Text.Json.Serialization;

namespace Xlstm.Cli.Chat;

/// <summary>What a session file of a conversation holds besides the session: who said what.</summary>
/// <param name="System">The system prompt.</param>
/// <param name="Turns">The turns.</param>
internal sealed record ConversationNote(string System, IReadOnlyList<Turn> Turns)
{
    public string ToJson() => JsonSerializer.Serialize(this, ConversationJson.Default.ConversationNote);

    /// <summary>Reads the note of a session file. A session that is no conversation is one without turns: it goes on where it stands.</summary>
    /// <exception cref="XlstmException">The note is not of a conversation, or its places are not on the session's timeline.</exception>
    public static ConversationNote Parse(string path, SessionFileInfo info)
    {
        if (info.Note.Length == 0)
        {
            throw new XlstmException($"{path}: holds no conversation (xlstm generate --session goes on from it)");
        }

        try
        {
            var note = JsonSerializer.Deserialize(info.Note, ConversationJson.Default.ConversationNote);
            int place = 0;
            if (note is { System: not null, Turns: not null } && note.Turns.All(turn => turn is { User: not null, Reply: not null } && IsNext(turn.Start) && IsNext(turn.ReplyStart)))
            {
                return note;
            }

            bool IsNext(int position)
            {
                bool next = position >= place && position <= info.Tokens.Count;
                place = position;
                return next;
            }
        }
        catch (JsonException)
        {
            // Told below, with what else may be wrong.
        }

        throw new XlstmException($"{path}: its note is not of a conversation");
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ConversationNote))]
internal sealed partial class ConversationJson : JsonSerializerContext;
