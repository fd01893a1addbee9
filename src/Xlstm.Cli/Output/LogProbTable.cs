using System.Globalization;
using Xlstm.Cli.Generation;

namespace Xlstm.Cli.Output;

/// <summary>Log probabilities for people: a line a token, the most probable tokens beside it.</summary>
internal static class LogProbTable
{
    public static void Write(TextWriter writer, IReadOnlyList<TokenResult> tokens)
    {
        writer.WriteLine($"{"token",-20} {"logprob",9}  most probable");
        foreach (var token in tokens)
        {
            string top = string.Join("  ", (token.Top ?? []).Select(t => $"{Quote(t)} {Show(t.Logprob)}"));
            writer.WriteLine($"{Quote(token),-20} {Show(token.Logprob),9}  {top}");
        }
    }

    private static string Show(float logprob) => logprob.ToString("F4", CultureInfo.InvariantCulture);

    private static string Quote(TokenResult token) =>
        token.Token is null ? token.Id.ToString(CultureInfo.InvariantCulture) : PythonRepr.Of(token.Token);
}
