using System.Text;
using CsCheck;
using Xlstm.Checkpoints;
using Xlstm.Generation;
using Xunit;

namespace Xlstm.Tests.Generation;

public sealed class GenerationConfigTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("xlstm-generation-config-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private GenerationOptions Read(string json)
    {
        File.WriteAllText(Path.Combine(_folder, "generation_config.json"), json);
        return GenerationConfig.Read(_folder);
    }

    [Fact]
    public void WithoutTheFileTheDefaultsStand()
    {
        GenerationOptions options = GenerationConfig.Read(_folder);
        Assert.Equal(new SamplingOptions(), options.Sampling);
        Assert.Equal(2000, options.MaxNewTokens);
    }

    // Risk: a file written from a model's configuration alone switches to greedy, or fails on keys we do not know.
    [Fact]
    public void AFileThatSaysNothingOfSamplingChangesNothing() =>
        Assert.Equal(new SamplingOptions(), Read("""
            {"_from_model_config": true, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "transformers_version": "4.48.0", "top_k": null}
            """).Sampling);

    [Fact]
    public void KeysAreTakenOverTheDefaults()
    {
        GenerationOptions options = Read("""
            {"do_sample": true, "temperature": 0.6, "top_k": 0, "top_p": 0.9, "min_p": 0, "repetition_penalty": 1.2, "max_new_tokens": 7, "stop_strings": ["a", "b"]}
            """);
        Assert.Equal(new SamplingOptions { Temperature = 0.6f, TopK = 0, TopP = 0.9f, MinP = 0, RepetitionPenalty = 1.2f }, options.Sampling);
        Assert.Equal(7, options.MaxNewTokens);
        Assert.Equal(["a", "b"], options.StopStrings);
        Assert.Equal(["###"], Read("""{"stop_strings": "###"}""").StopStrings);
    }

    [Fact]
    public void DoSampleFalseIsGreedy() => Assert.True(Read("""{"do_sample": false, "temperature": 0.6}""").Sampling.Greedy);

    [Theory]
    [InlineData("""{"top_k": 1.5}""", "top_k: expected an integer, found 1.5")]
    [InlineData("""{"top_k": 99999999999}""", "top_k: expected an integer, found 99999999999")]
    [InlineData("""{"top_k": -1}""", "top-k must be at least 0, found -1")]
    [InlineData("""{"top_p": 1.5}""", "top-p must be above 0 and at most 1, found 1.5")]
    [InlineData("""{"temperature": 1e999}""", "temperature must be finite and at least 0, found Infinity")]
    [InlineData("""{"temperature": "hot"}""", "temperature: expected a number, found \"hot\"")]
    [InlineData("""{"do_sample": 1}""", "do_sample: expected true or false, found 1")]
    [InlineData("""{"max_new_tokens": -3}""", "max new tokens must be at least 0, found -3")]
    [InlineData("""{"stop_strings": [1]}""", "stop_strings: expected strings, found 1")]
    [InlineData("""{"stop_strings": ""}""", "a stop string must have at least one character")]
    [InlineData("""{"stop_strings": "\ud83d"}""", "")]
    [InlineData("[1,\n2]", "expected a JSON object, found [1, 2]")]
    [InlineData("{", "not valid JSON: ")]
    [InlineData("", "not valid JSON: ")]
    public void WrongValuesGetOneLineThatNamesFileAndKey(string json, string message)
    {
        string error = Assert.Throws<CheckpointException>(() => Read(json)).Message;
        Assert.StartsWith($"{Path.Combine(_folder, "generation_config.json")}: {message}", error, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error);
    }

    [Fact]
    public void AnAbsurdlyLargeFileIsNotRead()
    {
        var error = Assert.Throws<CheckpointException>(() => Read(new string(' ', 1_100_000) + "{}"));
        Assert.Contains("expected at most 1048576 bytes, found 1100002", error.Message, StringComparison.Ordinal);
    }

    // Risk: a damaged file ends in anything else than a CheckpointException.
    [Fact]
    public void DamagedFilesFailCleanly()
    {
        byte[] good = Encoding.UTF8.GetBytes("""{"do_sample": true, "temperature": 0.6, "top_k": 5, "stop_strings": ["\u0041", "b"], "max_new_tokens": 7}""");
        string path = Path.Combine(_folder, "generation_config.json");
        Gen.Select(Gen.Int[0, good.Length - 1], Gen.Byte, Gen.Int[1, good.Length]).Array[1, 3].Sample(
            mutations =>
            {
                byte[] bytes = [.. good];
                foreach ((int at, byte value, int length) in mutations)
                {
                    bytes[at % bytes.Length] = value;
                    bytes = bytes[..Math.Max(1, Math.Min(bytes.Length, length + (good.Length / 2)))];
                }

                File.WriteAllBytes(path, bytes);
                try
                {
                    GenerationConfig.Read(_folder);
                }
                catch (CheckpointException)
                {
                }
            },
            iter: 500, threads: 1);
    }
}
