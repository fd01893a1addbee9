using System.Text;
using Xlstm.Chat;

namespace Xlstm;

/// <summary>Writes a conversation as the text that a model was trained to continue.</summary>
public abstract class ChatTemplate
{
    /// <summary>For models that were not trained on conversations: <c>User: ...</c> and <c>Assistant: ...</c>, a line each.</summary>
    public static ChatTemplate Plain { get; } = new PlainChatTemplate();

    /// <summary>ChatML: <c>&lt;|im_start|&gt;role</c>, the message, <c>&lt;|im_end|&gt;</c>.</summary>
    public static ChatTemplate ChatMl { get; } = new ChatMlTemplate();

    /// <summary>What it is, for people.</summary>
    public abstract string Description { get; }

    /// <summary>Texts that end a reply, besides the end-of-text token.</summary>
    public abstract IReadOnlyList<string> StopStrings { get; }

    /// <summary>The template that a checkpoint's tokenizer_config.json has as <c>chat_template</c>; without one, <see cref="Plain"/>.</summary>
    /// <param name="folder">The checkpoint's folder.</param>
    /// <exception cref="Checkpoints.CheckpointException">The file is damaged, or the template uses a part of Jinja that is not supported; the message names it.</exception>
    public static ChatTemplate For(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return ChatTemplateFile.Read(folder) ?? Plain;
    }

    /// <summary>Writes a conversation.</summary>
    /// <param name="messages">The messages in order.</param>
    /// <param name="forReply">Whether the text ends where the model's reply begins.</param>
    /// <exception cref="XlstmException">The template refuses the conversation.</exception>
    public abstract string Render(IReadOnlyList<ChatMessage> messages, bool forReply);

    private sealed class PlainChatTemplate : ChatTemplate
    {
        public override string Description => "plain User:/Assistant: (the checkpoint has no chat template)";

        public override IReadOnlyList<string> StopStrings { get; } = ["\nUser:", "\nAssistant:"];

        public override string Render(IReadOnlyList<ChatMessage> messages, bool forReply)
        {
            var text = new StringBuilder();
            foreach (ChatMessage message in messages)
            {
                if (message.Role == ChatMessage.System)
                {
                    text.Append(message.Content).Append("\n\n");
                    continue;
                }

                // A reply begins with the space, or the line, that the model itself wrote after the colon.
                text.Append(message.Role == ChatMessage.Assistant ? "Assistant:" : "User:");
                text.Append(message.Content.Length > 0 && char.IsWhiteSpace(message.Content[0]) ? "" : " ").Append(message.Content).Append('\n');
            }

            return text.Append(forReply ? "Assistant:" : "").ToString();
        }
    }

    private sealed class ChatMlTemplate : ChatTemplate
    {
        public override string Description => "ChatML";

        public override IReadOnlyList<string> StopStrings { get; } = ["<|im_end|>", "<|im_start|>"];

        public override string Render(IReadOnlyList<ChatMessage> messages, bool forReply)
        {
            var text = new StringBuilder();
            foreach (ChatMessage message in messages)
            {
                text.Append("<|im_start|>").Append(message.Role).Append('\n').Append(message.Content).Append("<|im_end|>\n");
            }

            return text.Append(forReply ? "<|im_start|>assistant\n" : "").ToString();
        }
    }
}
