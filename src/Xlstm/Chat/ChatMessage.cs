namespace Xlstm;

/// <summary>One message of a conversation.</summary>
/// <param name="Role">Who says it: <see cref="System"/>, <see cref="User"/> or <see cref="Assistant"/>.</param>
/// <param name="Content">What is said.</param>
public sealed record ChatMessage(string Role, string Content)
{
    /// <summary>Role of instructions for the whole conversation, which come first.</summary>
    public const string System = "system";

    /// <summary>Role of the person.</summary>
    public const string User = "user";

    /// <summary>Role of the model.</summary>
    public const string Assistant = "assistant";
}
