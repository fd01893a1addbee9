using System.Text.Json;
using CsCheck;
using Xlstm.Chat;
using Xlstm.Checkpoints;
using Xunit;

namespace Xlstm.Tests.Chat;

/// <summary>Risk: a conversation is written otherwise than the model was trained on, or a template that cannot be followed is followed wrongly.</summary>
public sealed class ChatTemplateTests
{
    private static readonly ChatMessage[] Talk = [new(ChatMessage.System, "Be brief."), new(ChatMessage.User, "Hi"), new(ChatMessage.Assistant, " Hello!"), new(ChatMessage.User, "Bye")];

    /// <summary>Templates as published models have them, written by Python's jinja2 with the settings of transformers.</summary>
    [Fact]
    public void WritesWhatJinja2Writes()
    {
        string path = Path.Combine(TestData.RepositoryRoot, "tests", "Xlstm.Tests", "Fixtures", "chat-templates.json");
        foreach (JsonElement expected in JsonDocument.Parse(File.ReadAllBytes(path)).RootElement.EnumerateArray())
        {
            var template = new JinjaChatTemplate(expected.GetProperty("template").GetString()!, "<s>", "</s>");
            ChatMessage[] messages = [.. expected.GetProperty("messages").EnumerateArray().Select(m => new ChatMessage(m.GetProperty("role").GetString()!, m.GetProperty("content").GetString()!))];
            string text = expected.GetProperty("text").GetString()!;
            Assert.Equal(text.StartsWith("<s>", StringComparison.Ordinal) ? text[3..] : text, template.Render(messages, expected.GetProperty("for_reply").GetBoolean()));
        }
    }

    [Fact]
    public void PlainAndChatMl()
    {
        Assert.Equal("Be brief.\n\nUser: Hi\nAssistant: Hello!\nUser: Bye\nAssistant:", ChatTemplate.Plain.Render(Talk, forReply: true));
        Assert.Equal(
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n Hello!<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n",
            ChatTemplate.ChatMl.Render(Talk, forReply: true));
    }

    [Theory]
    [InlineData("{% macro f() %}{% endmacro %}", "{% macro %} is not supported")]
    [InlineData("{{ messages | tojson }}", "filter 'tojson'")]
    [InlineData("{{ strftime_now('%d') }}", "function strftime_now()")]
    [InlineData("{% if x is divisibleby 3 %}{% endif %}", "'is divisibleby'")]
    [InlineData("{{ messages", "is not closed")]
    [InlineData("{% for m in messages %}", "ends too early")]
    [InlineData("{% if x %}{% endfor %}", "{% endfor %} is not supported")]
    [InlineData("{{ 'a' 'b' }}", "unexpected 'b'")]
    [InlineData("{{ a ? b }}", "'?'")]
    public void NamesWhatItDoesNotSupport(string source, string message)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(Path.Combine(folder.Path, "tokenizer_config.json"), JsonSerializer.Serialize(new Dictionary<string, string> { ["chat_template"] = source }));
        CheckpointException e = Assert.Throws<CheckpointException>(() => ChatTemplate.For(folder.Path));
        Assert.Contains("tokenizer_config.json: chat_template: ", e.Message, StringComparison.Ordinal);
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void FindsTheCheckpointsOwn()
    {
        using var folder = new TemporaryFolder();
        Assert.Same(ChatTemplate.Plain, ChatTemplate.For(folder.Path));
        string file = Path.Combine(folder.Path, "tokenizer_config.json");
        File.WriteAllText(file, """{"bos_token": {"content": "<s>"}, "chat_template": [{"name": "tools", "template": "x"}, {"name": "default", "template": "{{ bos_token }}{{ messages[-1].content }}"}]}""");
        Assert.Equal("Bye", ChatTemplate.For(folder.Path).Render(Talk, forReply: true));
        File.WriteAllText(file, """{"chat_template": "{{ raise_exception('no system role') }}"}""");
        XlstmException e = Assert.Throws<XlstmException>(() => ChatTemplate.For(folder.Path).Render(Talk, forReply: true));
        Assert.Contains("no system role", e.Message, StringComparison.Ordinal);
    }

    /// <summary>Risk: a template, which comes with a download, brings the process down.</summary>
    [Fact]
    public void HostileTemplatesEndInOneLine()
    {
        string[] parts = ["{{", "}}", "{%", "%}", "-", "if ", "for ", "in ", "messages", "[", "]", "(", ")", "'", "\n", "endif", "endfor", "else ", "set ", "x", "=", "==", ".", "|", "trim", "+", "not ", "is ", "defined", "1", ":", "{#", "#}", "loop.index", " "];
        Gen.Int[0, parts.Length - 1].Select(i => parts[i]).Array[1, 25].Sample(
            chosen =>
            {
                try
                {
                    new JinjaChatTemplate(string.Concat(chosen), "<s>", "</s>").Render(Talk, forReply: true);
                }
                catch (XlstmException e)
                {
                    Assert.DoesNotContain('\n', e.Message);
                }
            },
            iter: 20_000,
            seed: "0000KOIPrtc4");
        string deep = $"{{{{ {new string('(', 100_000)}1{new string(')', 100_000)} }}}}";
        Assert.Throws<XlstmException>(() => new JinjaChatTemplate(deep, "", ""));
        string notNot = "{{ " + string.Concat(Enumerable.Repeat("not ", 100_000)) + "x }}";
        Assert.Throws<XlstmException>(() => new JinjaChatTemplate(notNot, "", ""));
    }
}
