using System.Text.Json;
using Xlstm.Cli.Arguments;

namespace Xlstm.Cli.Generation;

/// <summary>One prompt and what to make of it.</summary>
internal sealed record GenerationJob
{
    /// <summary>Where the prompt is from, for errors.</summary>
    public required string Source { get; init; }

    /// <summary>The prompt as text; null when it is given as ids.</summary>
    public string? Prompt { get; init; }

    /// <summary>A file with the prompt, which may be too long to hold as text.</summary>
    public string? PromptFile { get; init; }

    /// <summary>The prompt as ids, fed as they are.</summary>
    public int[]? PromptIds { get; init; }

    public required GenerationOptions Options { get; init; }

    /// <summary>The caller's own name for it, handed back with the result.</summary>
    public JsonElement? Id { get; init; }

    /// <summary>The ids to feed. Text gets the begin-of-text token first, without which these models write garbage; raw ids are fed as they are.</summary>
    /// <param name="model">The model.</param>
    /// <param name="addBeginOfText">Whether text gets the begin-of-text token first.</param>
    /// <param name="mayBeEmpty">Whether there may be nothing to feed, as where a session goes on.</param>
    /// <exception cref="XlstmException">There is nothing to feed, or an id is out of range, or text is given to a model without a tokenizer.</exception>
    public int[] Encode(XlstmModel model, bool addBeginOfText, bool mayBeEmpty = false)
    {
        if (PromptIds is not null)
        {
            if (PromptIds.Length == 0)
            {
                throw new XlstmException($"{Source}: no token ids");
            }

            TokenIds.Check(PromptIds, model.Config.VocabSize, Source);
            return PromptIds;
        }
        int[] ids = EncodeText(model);
        if (addBeginOfText)
        {
            ids = [model.BeginOfText, .. ids];
        }

        if (ids.Length == 0 && !mayBeEmpty)
        {
            throw new XlstmException($"{Source} is empty and nothing else comes first: leave out --no-bos to start from the begin-of-text token alone");
        }

        TokenIds.Check(ids, model.Config.VocabSize, Source);
        return ids;
    }

    private int[] EncodeText(XlstmModel model)
    {
        if (Prompt is { Length: 0 })
        {
            return [];
        }

        var tokenizer = model.Tokenizer ?? throw new XlstmException($"{model.Folder} has no tokenizer.json, so it cannot read text: give token ids with --prompt-ids");
        if (PromptFile is null)
        {
            return tokenizer.Encode(Prompt!);
        }

        using var reader = new PromptReader(PromptFile);
        return tokenizer.Encode(reader);
    }
}
