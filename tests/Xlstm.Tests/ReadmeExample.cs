using Xunit;

namespace Xlstm.Tests;

/// <summary>Runs by itself: it changes the process's current folder and its console.</summary>
[CollectionDefinition(nameof(ReadmeExample), DisableParallelization = true)]
public static class ReadmeExampleCollection;

/// <summary>Risk: the first code a newcomer copies does not compile, or does not do what README.md says.</summary>
[Collection(nameof(ReadmeExample))]
public class ReadmeExample
{
    private static async Task RunAsync()
    {
        // README begins
        using XlstmModel model = XlstmModel.Load("models/demo");
        using Session session = model.CreateSession();

        session.Append("The old man looked at the sea");
        var options = new GenerationOptions { MaxNewTokens = 30, Sampling = new SamplingOptions { Greedy = true } };
        await foreach (GeneratedToken token in session.GenerateAsync(options))
        {
            Console.Write(token.Text);
        }

        session.Append("\n\nAnd then"); // the session goes on where it stands: nothing is read again
        // README ends
    }

    [Fact]
    public async Task RunsAsWritten()
    {
        (string folder, TextWriter console) = (Environment.CurrentDirectory, Console.Out);
        using var text = new StringWriter();
        try
        {
            Environment.CurrentDirectory = TestData.RepositoryRoot;
            Console.SetOut(text);
            await RunAsync();
        }
        finally
        {
            Environment.CurrentDirectory = folder;
            Console.SetOut(console);
        }

        Assert.StartsWith(", and then, with a little sigh, said,", text.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void StandsInTheReadme()
    {
        string[] lines = File.ReadAllLines(Path.Combine(TestData.RepositoryRoot, "tests", "Xlstm.Tests", "ReadmeExample.cs"));
        int first = Array.FindIndex(lines, line => line.Trim() == "// README begins") + 1;
        int end = Array.FindIndex(lines, line => line.Trim() == "// README ends");
        const int Indent = 8;
        string snippet = string.Join('\n', lines[first..end].Select(line => line.Length > Indent ? line[Indent..] : ""));
        Assert.Contains($"```csharp\n{snippet}\n```", File.ReadAllText(Path.Combine(TestData.RepositoryRoot, "README.md")).ReplaceLineEndings("\n"), StringComparison.Ordinal);
    }
}
