using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Xlstm.Cli.Generation;

/// <summary>What <c>--json</c> prints, and each line of <c>--prompts</c>.</summary>
internal sealed record GenerationResult
{
    public JsonElement? Id { get; init; }

    public required string Text { get; init; }

    /// <summary>The generated ids; an end-of-text token that ended the text is the last of them.</summary>
    public required IReadOnlyList<int> Ids { get; init; }

    public required IReadOnlyList<int> PromptIds { get; init; }

    public required string FinishReason { get; init; }

    /// <summary>The seed that gives this text again; null when nothing was drawn.</summary>
    public required ulong? Seed { get; init; }

    public IReadOnlyList<TokenResult>? Logprobs { get; init; }

    public required Timings Timings { get; init; }

    public string ToJson() => JsonSerializer.Serialize(this, ResultJson.Relaxed.GenerationResult);

    public static string Name(FinishReason? reason) => reason switch
    {
        Xlstm.FinishReason.EndOfText => "end_of_text",
        Xlstm.FinishReason.StopString => "stop_string",
        Xlstm.FinishReason.Length => "length",
        _ => "interrupted",
    };
}

/// <summary>A token and its natural-log probability under the model's own distribution.</summary>
internal sealed record TokenResult
{
    public required int Id { get; init; }

    /// <summary>The token's text; U+FFFD where it is only a part of a character.</summary>
    public string? Token { get; init; }

    public required float Logprob { get; init; }

    /// <summary>The most probable tokens, best first.</summary>
    public IReadOnlyList<TokenResult>? Top { get; init; }

    public static TokenResult Of(int id, float logprob, Tokenizer? tokenizer, IReadOnlyList<TokenLogProbability>? top = null) => new()
    {
        Id = id,
        Token = tokenizer?.Decode([id]),
        Logprob = logprob,
        Top = top is null ? null : [.. top.Select(t => Of(t.Id, t.LogProbability, tokenizer))],
    };
}

[JsonSerializable(typeof(GenerationResult))]
internal sealed partial class ResultJson : JsonSerializerContext
{
    /// <summary>One line; text stays readable: only what JSON itself demands is escaped.</summary>
    public static ResultJson Relaxed { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });
}
