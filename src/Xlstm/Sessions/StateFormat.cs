namespace Xlstm;

/// <summary>How a session file holds the state.</summary>
public enum StateFormat
{
    /// <summary>As it is: a session goes on from the file bit for bit.</summary>
    Float32,

    /// <summary>C rounded to bfloat16, n and m as they are: half the size, and what comes next may differ.</summary>
    BFloat16,
}
