using System.CommandLine;
using Xlstm.Cli.Arguments;
using Xlstm.Cli.Chat;
using Xlstm.Cli.Output;
using Xlstm.Cli.Sessions;
using Xlstm.Generation;

namespace Xlstm.Cli.Commands;

/// <summary><c>xlstm chat</c>: a conversation with a model, at a terminal or in a pipe.</summary>
internal sealed class ChatCommand
{
    private static readonly Dictionary<string, ChatTemplate> Templates = new() { ["plain"] = ChatTemplate.Plain, ["chatml"] = ChatTemplate.ChatMl };

    private readonly Option<string?> _system = new("--system") { HelpName = "TEXT", Description = "Instructions for the whole conversation" };
    private readonly Option<string?> _session = new("--session") { HelpName = "FILE", Description = "Go on from a conversation saved with /save" };
    private readonly Option<string?> _template = new("--template") { HelpName = "NAME", Description = "plain or chatml (default: the checkpoint's own, else plain)" };
    private readonly ModelArguments _model = new();
    private readonly SamplingArguments _sampling = new();

    public static Command Create()
    {
        var arguments = new ChatCommand();
        var command = new ToolCommand("chat", "Talk with a model. What has been said is never read again: undo, regenerate, edit and fork are immediate.")
        {
            Examples =
            [
                ("xlstm chat", "with the demo model, in a clone of the repository"),
                ("xlstm chat --model ~/models/xLSTM-7b --system \"Answer briefly.\"", "with another model"),
                ("xlstm chat --session talk.session", "go on from a saved conversation"),
                ("printf 'Hello\\nWho are you?\\n' | xlstm chat > replies.txt", "in a pipe: a message a line"),
            ],
        };
        arguments._template.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && !Templates.ContainsKey(token.Value))
            {
                result.AddError($"--template {token.Value}: expected {string.Join(" or ", Templates.Keys)}");
            }
        });
        arguments._model.AddTo(command);
        command.Add(arguments._system);
        command.Add(arguments._session);
        command.Add(arguments._template);
        arguments._sampling.AddTo(command);
        command.SetAction(arguments.RunAsync);
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        string? path = parsed.GetValue(_session);
        string? system = parsed.GetValue(_system);
        if (path is not null && system is not null)
        {
            throw new UsageException("give --session or --system: a saved conversation has its system prompt");
        }

        if (path is not null)
        {
            _ = SessionFile.ReadInfo(path);
        }

        string folder = _model.Folder(parsed);
        var template = parsed.GetValue(_template) is { } name ? Templates[name] : ChatTemplate.For(folder);
        var options = _sampling.Apply(GenerationConfig.Read(folder), parsed);
        var (model, _) = _model.Load(folder, parsed, cancellationToken);
        using (model)
        {
            if (model.Tokenizer is null)
            {
                throw new XlstmException($"{model.Folder} has no tokenizer.json, so it cannot read text");
            }

            if (path is not null)
            {
                SessionArguments.WarnOfOtherFormats(path, model);
            }

            var conversation = path is null
                ? Conversation.Create(model, template, system ?? "")
                : await Conversation.LoadAsync(model, template, path, cancellationToken).ConfigureAwait(false);
            using var output = new TextOutput();
            using var repl = new ChatRepl(model, template, conversation, options, output);
            await repl.RunAsync(cancellationToken).ConfigureAwait(false);
        }

        return ExitCode.Success;
    }
}
