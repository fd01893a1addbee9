using System.Globalization;

namespace Xlstm.Chat;

/// <summary>A part of a template that has a value.</summary>
internal delegate object? JinjaExpression(JinjaScope scope);

/// <summary>A part of a template that writes or sets something.</summary>
internal delegate void JinjaStatement(JinjaScope scope);

/// <summary>
/// Turns the part of Jinja that chat templates use into delegates: text, <c>{{ }}</c>, <c>if</c>, <c>for</c>, <c>set</c>, comparisons,
/// <c>and or not in is</c>, <c>+ ~ -</c>, <c>%</c>, <c>a if b else c</c>, attributes, indexes, slices, a few filters, methods and
/// tests. What else Jinja has is refused by name.
/// </summary>
internal sealed class JinjaParser
{
    // Templates nest a few levels; a hostile one must not exhaust the stack.
    private const int MaxDepth = 60;

    private readonly IReadOnlyList<JinjaToken> _tokens;
    private int _position;
    private int _depth;

    private JinjaParser(IReadOnlyList<JinjaToken> tokens) => _tokens = tokens;

    private JinjaToken Current => _position < _tokens.Count ? _tokens[_position] : default;

    /// <exception cref="XlstmException">The template is not well formed or uses what is not supported.</exception>
    public static JinjaStatement Parse(string source)
    {
        var parser = new JinjaParser(JinjaLexer.Read(source));
        JinjaStatement template = parser.Block();
        return parser._position == parser._tokens.Count ? template : throw parser.Unexpected();
    }

    private JinjaStatement Block(params string[] ends)
    {
        Enter();
        var statements = new List<JinjaStatement>();
        while (_position < _tokens.Count && !(Current.Kind == JinjaTokenKind.BeginStatement && ends.Contains(_tokens[_position + 1].Text)))
        {
            statements.Add(Statement());
        }

        _depth--;
        return scope => statements.ForEach(statement => statement(scope));
    }

    private JinjaStatement Statement()
    {
        JinjaToken token = _tokens[_position++];
        if (token.Kind == JinjaTokenKind.Text)
        {
            return scope => scope.Output.Append(token.Text);
        }

        if (token.Kind == JinjaTokenKind.BeginExpression)
        {
            JinjaExpression value = Expression();
            End();
            return scope => scope.Output.Append(JinjaScope.ToText(value(scope)));
        }

        string keyword = Name();
        return keyword switch
        {
            "if" => If(),
            "for" => For(),
            "set" => Set(),
            "generation" or "endgeneration" => Nothing(),
            _ => throw new XlstmException($"the statement {{% {keyword} %}} is not supported"),
        };
    }

    // Marks what was generated, for training; it writes nothing.
    private JinjaStatement Nothing()
    {
        End();
        return _ => { };
    }

    private JinjaStatement If()
    {
        JinjaExpression condition = Expression();
        End();
        JinjaStatement then = Block("elif", "else", "endif");
        Expect(JinjaTokenKind.BeginStatement);
        switch (Name())
        {
            case "elif":
                JinjaStatement next = If();
                return scope => (JinjaScope.IsTrue(condition(scope)) ? then : next)(scope);
            case "else":
                End();
                JinjaStatement otherwise = Block("endif");
                Expect(JinjaTokenKind.BeginStatement);
                Name();
                End();
                return scope => (JinjaScope.IsTrue(condition(scope)) ? then : otherwise)(scope);
            default:
                End();
                return scope =>
                {
                    if (JinjaScope.IsTrue(condition(scope)))
                    {
                        then(scope);
                    }
                };
        }
    }

    private JinjaStatement For()
    {
        string variable = Name();
        ExpectText("in");
        JinjaExpression items = Expression();
        End();
        JinjaStatement body = Block("endfor");
        Expect(JinjaTokenKind.BeginStatement);
        Name();
        End();
        return scope =>
        {
            IReadOnlyList<object?> list = items(scope) as IReadOnlyList<object?> ?? throw new XlstmException("{% for %} goes over something that is not a list");
            for (int i = 0; i < list.Count; i++)
            {
                var inner = new JinjaScope(scope, scope.Output)
                {
                    [variable] = list[i],
                    ["loop"] = new Dictionary<string, object?>
                    {
                        ["index"] = i + 1L, ["index0"] = (long)i, ["first"] = i == 0, ["last"] = i == list.Count - 1, ["length"] = (long)list.Count,
                        ["previtem"] = i > 0 ? list[i - 1] : JinjaScope.Undefined, ["nextitem"] = i + 1 < list.Count ? list[i + 1] : JinjaScope.Undefined,
                    },
                };
                body(inner);
            }
        };
    }

    private JinjaStatement Set()
    {
        string name = Name();
        string? member = Take(".") ? Name() : null;
        ExpectText("=");
        JinjaExpression value = Expression();
        End();
        return scope =>
        {
            if (member is null)
            {
                scope[name] = value(scope);
            }
            else
            {
                (scope[name] as IDictionary<string, object?> ?? throw new XlstmException($"{{% set {name}.{member} %}}: {name} is not a namespace"))[member] = value(scope);
            }
        };
    }

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

    private bool Take(string text)
    {
        if (Current.Kind is JinjaTokenKind.Name or JinjaTokenKind.Symbol && Current.Text == text)
        {
            _position++;
            return true;
        }

        return false;
    }

    private string Name() => Current.Kind == JinjaTokenKind.Name ? _tokens[_position++].Text : throw Unexpected();

    private void End() => Expect(JinjaTokenKind.End);

    private void Expect(JinjaTokenKind kind) => _position += Current.Kind == kind && _position < _tokens.Count ? 1 : throw Unexpected();

    private void ExpectText(string text)
    {
        if (!Take(text))
        {
            throw Unexpected();
        }
    }

    private void Enter()
    {
        if (++_depth > MaxDepth)
        {
            throw new XlstmException($"it nests deeper than {MaxDepth} levels");
        }
    }

    private XlstmException Unexpected() =>
        new(_position < _tokens.Count ? $"unexpected {Checkpoints.ErrorText.Quote(Current.Text)}" : "it ends too early");
}
