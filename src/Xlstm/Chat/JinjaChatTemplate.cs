using System.Text;

namespace Xlstm.Chat;

/// <summary>A checkpoint's own chat template. docs/sessions.md says which part of Jinja it may use.</summary>
internal sealed class JinjaChatTemplate : ChatTemplate
{
    private readonly JinjaStatement _template;
    private readonly string _begin;
    private readonly string _end;

    /// <param name="source">The template.</param>
    /// <param name="begin">Text of the begin-of-text token.</param>
    /// <param name="end">Text of the end-of-text token.</param>
    /// <exception cref="XlstmException">The template is not well formed or uses what is not supported.</exception>
    public JinjaChatTemplate(string source, string begin, string end)
    {
        _template = JinjaParser.Parse(source);
        (_begin, _end) = (begin, end);

        // What a template closes a message with ends a reply: the one token in it that is known by sight.
        StopStrings = source.Contains("<|im_end|>", StringComparison.Ordinal) ? ChatMl.StopStrings : [];
    }

    public override string Description => "the checkpoint's own";

    public override IReadOnlyList<string> StopStrings { get; }

    public override string Render(IReadOnlyList<ChatMessage> messages, bool forReply)
    {
        var scope = new JinjaScope(null, new StringBuilder())
        {
            ["messages"] = messages.Select(message => new Dictionary<string, object?> { ["role"] = message.Role, ["content"] = message.Content }).ToArray<object?>(),
            ["add_generation_prompt"] = forReply,
            ["bos_token"] = _begin,
            ["eos_token"] = _end,
        };
        _template(scope);

        // A session puts the begin-of-text token first by itself.
        string text = scope.Output.ToString();
        return _begin.Length > 0 && text.StartsWith(_begin, StringComparison.Ordinal) ? text[_begin.Length..] : text;
    }
}
