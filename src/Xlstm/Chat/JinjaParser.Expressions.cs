using System.Globalization;

namespace Xlstm.Chat;

/// <summary>Expressions, weakest binding first.</summary>
internal sealed partial class JinjaParser
{
    private JinjaExpression Expression()
    {
        Enter();
        JinjaExpression value = Or();
        if (Take("if"))
        {
            (JinjaExpression then, JinjaExpression condition) = (value, Or());
            JinjaExpression otherwise = Take("else") ? Expression() : _ => JinjaScope.Undefined;
            value = scope => (JinjaScope.IsTrue(condition(scope)) ? then : otherwise)(scope);
        }

        _depth--;
        return value;
    }

    private JinjaExpression Or()
    {
        JinjaExpression value = And();
        while (Take("or"))
        {
            (JinjaExpression left, JinjaExpression right) = (value, And());
            value = scope => left(scope) is var l && JinjaScope.IsTrue(l) ? l : right(scope);
        }

        return value;
    }

    private JinjaExpression And()
    {
        JinjaExpression value = Not();
        while (Take("and"))
        {
            (JinjaExpression left, JinjaExpression right) = (value, Not());
            value = scope => left(scope) is var l && JinjaScope.IsTrue(l) ? right(scope) : l;
        }

        return value;
    }

    private JinjaExpression Not()
    {
        if (!Take("not"))
        {
            return Comparison();
        }

        Enter();
        JinjaExpression value = Not();
        _depth--;
        return scope => !JinjaScope.IsTrue(value(scope));
    }

    private JinjaExpression Comparison()
    {
        JinjaExpression value = Sum();
        while (true)
        {
            JinjaExpression left = value;
            if (Take("is"))
            {
                bool isNot = Take("not");
                Func<object?, bool> test = JinjaOperations.Test(Name());
                value = scope => test(left(scope)) != isNot;
                continue;
            }

            bool notIn = Current.Text == "not" && _position + 1 < _tokens.Count && _tokens[_position + 1].Text == "in";
            if (notIn || (Current.Kind == JinjaTokenKind.Name && Current.Text == "in"))
            {
                _position += notIn ? 2 : 1;
                JinjaExpression container = Sum();
                value = scope => JinjaOperations.Contains(container(scope), left(scope)) != notIn;
                continue;
            }

            if (Current is not { Kind: JinjaTokenKind.Symbol, Text: "==" or "!=" or "<" or ">" or "<=" or ">=" } symbol)
            {
                return value;
            }

            _position++;
            JinjaExpression right = Sum();
            value = scope => JinjaOperations.Compare(symbol.Text, left(scope), right(scope));
        }
    }

    private JinjaExpression Sum()
    {
        JinjaExpression value = Postfix();
        while (Current is { Kind: JinjaTokenKind.Symbol, Text: "+" or "-" or "~" or "%" } symbol)
        {
            _position++;
            (JinjaExpression left, JinjaExpression right) = (value, Postfix());
            value = scope => JinjaOperations.Combine(symbol.Text, left(scope), right(scope));
        }

        return value;
    }

    private JinjaExpression Postfix()
    {
        JinjaExpression value = Primary();
        while (true)
        {
            JinjaExpression target = value;
            if (Take("."))
            {
                string name = Name();
                if (Take("("))
                {
                    (JinjaExpression[] arguments, _) = Arguments();
                    value = scope => JinjaOperations.Method(name, target(scope), [.. arguments.Select(argument => argument(scope))]);
                }
                else
                {
                    value = scope => JinjaOperations.Member(target(scope), name);
                }
            }
            else if (Take("["))
            {
                value = Index(target);
            }
            else if (Take("|"))
            {
                string name = Name();
                JinjaExpression[] arguments = Take("(") ? Arguments().Positional : [];
                Func<object?, object?[], object?> filter = JinjaOperations.Filter(name);
                value = scope => filter(target(scope), [.. arguments.Select(argument => argument(scope))]);
            }
            else
            {
                return value;
            }
        }
    }

    private JinjaExpression Index(JinjaExpression target)
    {
        JinjaExpression? first = Current.Text == ":" && Current.Kind == JinjaTokenKind.Symbol ? null : Expression();
        if (!Take(":"))
        {
            ExpectText("]");
            return scope => JinjaOperations.Member(target(scope), first!(scope));
        }

        JinjaExpression? last = Current is { Kind: JinjaTokenKind.Symbol, Text: "]" } ? null : Expression();
        ExpectText("]");
        return scope => JinjaOperations.Slice(target(scope), first?.Invoke(scope), last?.Invoke(scope));
    }

    private JinjaExpression Primary()
    {
        JinjaToken token = Current;
        _position++;
        switch (token.Kind)
        {
            case JinjaTokenKind.String:
                return _ => token.Text;
            case JinjaTokenKind.Integer when long.TryParse(token.Text, NumberStyles.None, CultureInfo.InvariantCulture, out long number):
                return _ => number;
            case JinjaTokenKind.Symbol when token.Text == "-":
                Enter();
                JinjaExpression negated = Postfix();
                _depth--;
                return scope => JinjaOperations.Combine("-", 0L, negated(scope));
            case JinjaTokenKind.Symbol when token.Text == "(":
                JinjaExpression inner = Expression();
                ExpectText(")");
                return inner;
            case JinjaTokenKind.Name:
                return token.Text switch
                {
                    "true" or "True" => _ => true,
                    "false" or "False" => _ => false,
                    "none" or "None" => _ => null,
                    _ when Take("(") => Call(token.Text),
                    _ => scope => scope[token.Text],
                };
            default:
                _position--;
                throw Unexpected();
        }
    }

    private JinjaExpression Call(string name)
    {
        (JinjaExpression[] positional, Dictionary<string, JinjaExpression> named) = Arguments();
        return name switch
        {
            "raise_exception" when positional.Length == 1 => scope => throw new XlstmException($"the chat template says: {JinjaScope.ToText(positional[0](scope))}"),
            "namespace" => scope => named.ToDictionary(pair => pair.Key, pair => pair.Value(scope)),
            _ => throw new XlstmException($"the function {name}() is not supported"),
        };
    }

    private (JinjaExpression[] Positional, Dictionary<string, JinjaExpression> Named) Arguments()
    {
        var positional = new List<JinjaExpression>();
        var named = new Dictionary<string, JinjaExpression>();
        while (!Take(")"))
        {
            if (positional.Count + named.Count > 0)
            {
                ExpectText(",");
            }

            if (Current.Kind == JinjaTokenKind.Name && _position + 1 < _tokens.Count && _tokens[_position + 1].Text == "=")
            {
                string name = Name();
                _position++;
                named[name] = Expression();
            }
            else
            {
                positional.Add(Expression());
            }
        }

        return ([.. positional], named);
    }
}
