using System.CommandLine;

namespace Xlstm.Cli.Arguments;

/// <summary>Options that take several numbers with commas between: <c>--threads 1,2</c>.</summary>
internal static class NumberList
{
    /// <param name="name">The option.</param>
    /// <param name="rule">What each number may be.</param>
    /// <param name="otherwise">The numbers when it is not given.</param>
    /// <param name="description">For help.</param>
    /// <param name="aliases">Its short names.</param>
    public static Option<int[]> Create(string name, NumberRule<int> rule, int[] otherwise, string description, params string[] aliases)
    {
        var option = new Option<int[]>(name, aliases) { HelpName = "N,N", Description = description, Arity = ArgumentArity.ExactlyOne, DefaultValueFactory = _ => otherwise };
        option.CustomParser = result =>
        {
            string text = result.Tokens[^1].Value;
            var numbers = new List<int>();
            foreach (string word in text.Split(','))
            {
                if (!rule.TryParse(word, out int number))
                {
                    result.AddError($"{name} {text}: expected {rule.Expected}, or several with commas between");
                    return null;
                }

                numbers.Add(number);
            }

            return [.. numbers];
        };
        return option;
    }
}
