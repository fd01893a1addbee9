namespace Xlstm.Checkpoints;

/// <summary>A file of a checkpoint (safetensors, index, config.json, tokenizer.json) is missing, damaged, contradictory or of a kind not supported.</summary>
public sealed class CheckpointException : XlstmException
{
    /// <summary>For serializers and analyzers; give a message instead.</summary>
    public CheckpointException()
    {
    }

    /// <param name="message">One line that names the file, what was expected and what was found.</param>
    public CheckpointException(string message)
        : base(message)
    {
    }

    /// <param name="message">One line that names the file, what was expected and what was found.</param>
    /// <param name="innerException">The cause.</param>
    public CheckpointException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
