using Xunit;

namespace Xlstm.Tests.Generation;

public class OptionsValidationTests
{
    public static TheoryData<SamplingOptions, string> OutOfRange => new()
    {
        { new() { Temperature = -1 }, "temperature must be finite and at least 0, found -1" },
        { new() { Temperature = float.NaN }, "temperature must be finite and at least 0, found NaN" },
        { new() { TopK = -5 }, "top-k must be at least 0, found -5" },
        { new() { TopP = 0 }, "top-p must be above 0 and at most 1, found 0" },
        { new() { TopP = float.NaN }, "top-p must be above 0 and at most 1, found NaN" },
        { new() { MinP = 1.5f }, "min-p must be at least 0 and at most 1, found 1.5" },
        { new() { RepetitionPenalty = 0 }, "repetition penalty must be finite and above 0, found 0" },
        { new() { PresencePenalty = float.PositiveInfinity }, "presence penalty must be finite, found Infinity" },
        { new() { FrequencyPenalty = float.NaN }, "frequency penalty must be finite, found NaN" },
        { new() { LogitBias = new Dictionary<int, float> { [-1] = 0 } }, "logit bias must be for a token id of at least 0, found -1" },
        { new() { LogitBias = new Dictionary<int, float> { [4] = float.PositiveInfinity } }, "logit bias of token 4 must be finite or negative infinity, found Infinity" },
    };

    [Theory]
    [MemberData(nameof(OutOfRange))]
    public void TheMessageNamesTheOptionAndTheValue(SamplingOptions options, string message) =>
        Assert.Equal(message, Assert.Throws<XlstmException>(() => new GenerationOptions { Sampling = options }.Validate()).Message);

    [Fact]
    public void CountsAndStopStringsAreChecked()
    {
        static string Message(GenerationOptions options) => Assert.Throws<XlstmException>(options.Validate).Message;
        Assert.Equal("max new tokens must be at least 0, found -1", Message(new() { MaxNewTokens = -1 }));
        Assert.Equal("top log probabilities must be at least 0, found -1", Message(new() { TopLogProbabilities = -1 }));
        Assert.Equal("a stop string must have at least one character, found an empty one", Message(new() { StopStrings = [""] }));
        new GenerationOptions().Validate();
    }
}
