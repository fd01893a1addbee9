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
internal sealed partial class JinjaParser
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
                        ["index"] = i + 1L,
                        ["index0"] = (long)i,
                        ["first"] = i == 0,
                        ["last"] = i == list.Count - 1,
                        ["length"] = (long)list.Count,
                        ["previtem"] = i > 0 ? list[i - 1] : JinjaScope.Undefined,
                        ["nextitem"] = i + 1 < list.Count ? list[i + 1] : JinjaScope.Undefined,
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
