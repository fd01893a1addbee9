using System.CommandLine;
using System.Globalization;
using System.Text;
using Xlstm.Cli.Arguments;
using Xlstm.Cli.Output;

namespace Xlstm.Cli.Commands;

/// <summary><c>xlstm tokenize</c>: text to token ids and back. It reads the tokenizer alone, no weights.</summary>
internal sealed class TokenizeCommand
{
    private readonly Argument<string?> _text = new("TEXT") { Description = "Text (with --decode: token ids); \"-\" or nothing reads stdin, byte for byte", Arity = ArgumentArity.ZeroOrOne };
    private readonly Option<string?> _model = ModelArguments.ModelOption();
    private readonly Option<bool> _bos = Flag.Create("--bos", "Put the begin-of-text token first");
    private readonly Option<bool> _decode = Flag.Create("--decode", "Read token ids, write text");
    private readonly Option<bool> _json = Flag.Create("--json", "Print {\"ids\": [...]}, or with --decode {\"text\": \"...\"}");

    public static Command Create()
    {
        var arguments = new TokenizeCommand();
        var command = new ToolCommand("tokenize", "Turn text into token ids and back.")
        {
            Examples =
            [
                ("xlstm tokenize \"Once upon a time\"", "ids such as 51,302,9, as --prompt-ids takes them"),
                ("xlstm tokenize --json < book.txt | jq '.ids | length'", "how many tokens a file has"),
                ("xlstm tokenize < book.txt | xlstm tokenize --decode | cmp - book.txt", "there and back"),
            ],
        };
        command.Add(arguments._text);
        command.Add(arguments._model);
        command.Add(arguments._bos);
        command.Add(arguments._decode);
        command.Add(arguments._json);
        command.SetAction(arguments.RunAsync);
        return command;
    }

    private async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        string? text = parsed.GetValue(_text);
        bool fromStdin = text is null or InputText.StandardInput;
        if (text is null && !Console.IsInputRedirected)
        {
            throw new UsageException("nothing to tokenize: give TEXT in quotes or pipe it in");
        }

        if (parsed.GetValue(_decode) && parsed.GetValue(_bos))
        {
            throw new UsageException("--bos and --decode exclude each other");
        }

        var tokenizer = Tokenizer.Load(ModelLocator.Find(parsed.GetValue(_model)));
        using var output = new TextOutput();
        if (parsed.GetValue(_decode))
        {
            int[] ids = fromStdin
                ? await TokenIds.ReadAsync(InputText.StandardInput, cancellationToken).ConfigureAwait(false)
                : TokenIds.Parse(text, "TEXT");
            TokenIds.Check(ids, tokenizer.MaxId + 1, fromStdin ? "stdin" : "TEXT");
            string decoded = tokenizer.Decode(ids);
            if (parsed.GetValue(_json))
            {
                output.WriteLine(Json.Object(json => json.WriteString("text", decoded)));
            }
            else
            {
                output.Write(decoded);
                output.EndLine();
            }
        }
        else
        {
            int[] ids = fromStdin
                ? tokenizer.EncodeUtf8(await InputText.ReadBytesAsync(InputText.StandardInput, cancellationToken).ConfigureAwait(false))
                : tokenizer.Encode(text!);
            if (parsed.GetValue(_bos))
            {
                ids = [tokenizer.BeginOfText ?? throw new XlstmException("this tokenizer has no begin-of-text token"), .. ids];
            }

            output.WriteLine(parsed.GetValue(_json) ? Json.Object(json => WriteIds(json, ids)) : Join(ids));
        }
        return ExitCode.Success;
    }

    private static void WriteIds(System.Text.Json.Utf8JsonWriter json, int[] ids)
    {
        json.WriteStartArray("ids");
        foreach (int id in ids)
        {
            json.WriteNumberValue(id);
        }

        json.WriteEndArray();
    }

    private static string Join(int[] ids)
    {
        var text = new StringBuilder(ids.Length * 5);
        foreach (int id in ids)
        {
            text.Append(text.Length > 0 ? "," : "").Append(CultureInfo.InvariantCulture, $"{id}");
        }

        return text.ToString();
    }
}
