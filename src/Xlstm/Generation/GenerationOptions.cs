using Xlstm.Generation;

namespace Xlstm;

/// <summary>What <see cref="Session.GenerateAsync(GenerationOptions?, CancellationToken)"/> makes and when it stops.</summary>
public sealed record GenerationOptions
{
    /// <summary>Stop after this many tokens. At least 0.</summary>
    public int MaxNewTokens { get; init; } = 2000;

    /// <summary>How tokens are chosen.</summary>
    public SamplingOptions Sampling { get; init; } = new();

    /// <summary>Stop when the text made so far contains one of these; neither it nor what follows is part of the text.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];

    /// <summary>Never sample the end-of-text token and so go on to <see cref="MaxNewTokens"/>.</summary>
    public bool IgnoreEndOfText { get; init; }

    /// <summary>With every token, report the log probabilities of this many most probable tokens (of the model's own distribution, before the sampling chain); 0 reports none.</summary>
    public int TopLogProbabilities { get; init; }

    /// <summary>Checks every value, those of <see cref="Sampling"/> included, against the range its property documents.</summary>
    /// <exception cref="XlstmException">A value is out of its range; the message names the option.</exception>
    public void Validate()
    {
        if (MaxNewTokens < 0)
        {
            throw new XlstmException($"max new tokens must be at least 0, found {MaxNewTokens}");
        }

        if (TopLogProbabilities < 0)
        {
            throw new XlstmException($"top log probabilities must be at least 0, found {TopLogProbabilities}");
        }

        foreach (string stop in StopStrings)
        {
            StopStringFilter.Validate(stop);
        }

        Sampling.Validate();
    }
}
