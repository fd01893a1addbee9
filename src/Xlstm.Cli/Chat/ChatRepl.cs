using Xlstm.Cli.Arguments;
using Xlstm.Cli.Output;
using Xlstm.Cli.Sessions;

namespace Xlstm.Cli.Chat;

/// <summary>The loop of <c>xlstm chat</c>: reads messages and commands until the input ends.</summary>
internal sealed class ChatRepl : IDisposable
{
    private const string FirstBranch = "main";

    private static readonly (string Name, string Arguments, string Description)[] Commands =
    [
        ("/help", "", "this list"),
        ("/system", "[TEXT]", "show the system prompt, or start over with another"),
        ("/undo", "", "take the last message and its reply back"),
        ("/regen", "", "have the last reply made again"),
        ("/edit", "[TEXT]", "take the last message back and say it otherwise"),
        ("/fork", "NAME", "go on in a copy of this conversation"),
        ("/switch", "[NAME]", "list the conversations, or go to another"),
        ("/save", "FILE", "save the conversation and its state"),
        ("/load", "FILE", "go on from a saved one, without reading it again"),
        ("/clear", "", "start over with the same system prompt"),
        ("/params", "[NAME=VALUE ...]", "show or change how replies are chosen"),
        ("/stats", "", "tokens, state and what is kept for undo"),
        ("/exit", "", "leave; so does Ctrl+D"),
    ];

    private readonly XlstmModel _model;
    private readonly ChatTemplate _template;
    private readonly TextOutput _output;
    private readonly ChatInput _input = new([.. Commands.Select(command => command.Name)]);
    private readonly Dictionary<string, Conversation> _branches;
    private GenerationOptions _options;
    private string _branch = FirstBranch;
    private string _draft = "";

    public ChatRepl(XlstmModel model, ChatTemplate template, Conversation conversation, GenerationOptions options, TextOutput output)
    {
        (_model, _template, _options, _output) = (model, template, options, output);
        _branches = new() { [FirstBranch] = conversation };
    }

    private Conversation Current
    {
        get => _branches[_branch];
        set
        {
            Current.Dispose();
            _branches[_branch] = value;
        }
    }

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        if (_input.IsTerminal)
        {
            Console.Error.WriteLine($"Template: {_template.Description}. /help lists the commands, Ctrl+C stops a reply, Ctrl+D leaves.");
        }

        while (true)
        {
            string draft = _draft;
            _draft = "";
            string? message = await _input.ReadAsync(draft, cancellationToken).ConfigureAwait(false);
            if (message is null or "/exit")
            {
                return;
            }

            try
            {
                if (message.StartsWith('/'))
                {
                    string[] parts = message.Split(' ', 2, StringSplitOptions.TrimEntries);
                    await CommandAsync(parts[0], parts.Length > 1 ? parts[1] : "", cancellationToken).ConfigureAwait(false);
                }
                else if (message.Trim().Length > 0)
                {
                    await ReplyAsync((receive, progress, token) => Current.SendAsync(message, _options, receive, progress, token), cancellationToken).ConfigureAwait(false);
                }
            }
            catch (XlstmException e)
            {
                // A slip of the pen must not cost a conversation.
                _output.EndLineBeforeError();
                Terminal.WriteError(e.Message);
            }
        }
    }

    public void Dispose()
    {
        foreach (var conversation in _branches.Values)
        {
            conversation.Dispose();
        }
    }

    private async Task CommandAsync(string name, string argument, CancellationToken cancellationToken)
    {
        switch (name)
        {
            case "/help":
                WriteLines(Commands.Select(command => $"{command.Name + " " + command.Arguments,-28}{command.Description}").Append("A backslash at the end of a line goes on in the next; \"\"\" begins and ends several lines."));
                break;
            case "/system" when argument.Length == 0:
                WriteLines([Current.System.Length > 0 ? Current.System : "(no system prompt)"]);
                break;
            case "/system":
                Current = Conversation.Create(_model, _template, argument);
                break;
            case "/clear":
                Current = Conversation.Create(_model, _template, Current.System);
                break;
            case "/undo":
                RequireTurn();
                Current.Undo();
                break;
            case "/regen":
                RequireTurn();
                await ReplyAsync((receive, _, token) => Current.RegenerateAsync(_options, receive, token), cancellationToken).ConfigureAwait(false);
                break;
            case "/edit" when argument.Length > 0:
                RequireTurn();
                Current.Undo();
                await ReplyAsync((receive, progress, token) => Current.SendAsync(argument, _options, receive, progress, token), cancellationToken).ConfigureAwait(false);
                break;
            case "/edit" when _input.IsTerminal:
                RequireTurn();
                _draft = Current.Undo();
                break;
            case "/fork" when argument.Length > 0:
                if (_branches.ContainsKey(argument))
                {
                    throw new XlstmException($"there is a conversation {argument} already");
                }

                _branches.Add(argument, Current.Fork());
                _branch = argument;
                break;
            case "/switch" when argument.Length == 0:
                WriteLines(_branches.Select(branch => $"{(branch.Key == _branch ? "*" : " ")} {branch.Key}: {branch.Value.Turns.Count} turns, {branch.Value.Session.Tokens.Count} tokens"));
                break;
            case "/switch":
                _branch = _branches.ContainsKey(argument) ? argument : throw new XlstmException($"there is no conversation {argument}: there are {string.Join(", ", _branches.Keys)}");
                break;
            case "/save" when argument.Length > 0:
                await Current.SaveAsync(argument).ConfigureAwait(false);
                WriteLines([SessionArguments.Saved(argument, Current.Session)]);
                break;
            case "/load" when argument.Length > 0:
                Current = await Conversation.LoadAsync(_model, _template, argument, cancellationToken).ConfigureAwait(false);
                SessionArguments.WarnOfOtherFormats(argument, _model);
                WriteLines([$"{Current.Turns.Count} turns, {Current.Session.Tokens.Count} tokens"]);
                break;
            case "/params":
                _options = ChatParameters.Change(_options, argument);
                WriteLines([string.Join(' ', ChatParameters.Show(_options))]);
                break;
            case "/stats":
                WriteStatistics();
                break;
            default:
                string? arguments = Array.Find(Commands, command => command.Name == name).Arguments;
                throw new XlstmException(arguments is null ? $"there is no command {name}: /help lists them" : $"expected {name} {arguments.Trim('[', ']')}");
        }
    }

    /// <summary>Streams a reply. Ctrl+C stops it and nothing else.</summary>
    private async Task ReplyAsync(Func<Action<GeneratedToken>, IProgress<int>, CancellationToken, Task> generate, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var diversion = _input.IsTerminal ? Interrupt.Divert(stop.Cancel) : null;
        using var bar = new ProgressBar("Reading", "tok", TimeSpan.FromSeconds(1), keep: false);
        var reply = new ReplyOutput(_output, _input.IsTerminal);
        bool stopped = false;
        try
        {
            await generate(
                token =>
                {
                    bar.Finish();
                    reply.Receive(token);
                },
                new ReadingProgress(bar),
                stop.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            stopped = true;
        }

        reply.End(stopped);
    }

    private void RequireTurn()
    {
        if (Current.Turns.Count == 0)
        {
            throw new XlstmException("nothing has been said yet");
        }
    }

    private void WriteStatistics()
    {
        var session = Current.Session;
        WriteLines(
        [
            $"conversation {_branch}: {Current.Turns.Count} turns, {session.Tokens.Count} tokens",
            $"state {Quantity.Bytes(_model.StateBytes)}, however long the conversation; {session.Marks.Count} kept for undo",
            $"{_model.Device}; {_model.Weights.Name()} weights {Quantity.Bytes(_model.WeightBytes)}",
        ]);
    }

    // To a person at a terminal and to a log alike: stdout is for replies.
    private static void WriteLines(IEnumerable<string> lines)
    {
        foreach (string line in lines)
        {
            Console.Error.WriteLine(line);
        }
    }

    /// <summary>How many tokens a message has is known only when it has been read, so the bar shows the count alone.</summary>
    private sealed class ReadingProgress(ProgressBar bar) : IProgress<int>
    {
        public void Report(int value) => bar.Report(0, value, value);
    }
}
