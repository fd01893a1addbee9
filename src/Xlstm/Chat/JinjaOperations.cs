namespace Xlstm.Chat;

/// <summary>What the operators, filters, tests and methods of a template do.</summary>
internal static class JinjaOperations
{
    public static Func<object?, bool> Test(string name) => name switch
    {
        "defined" => value => value != JinjaScope.Undefined,
        "undefined" => value => value == JinjaScope.Undefined,
        "none" => value => value is null,
        "string" => value => value is string,
        "mapping" => value => value is IDictionary<string, object?>,
        "iterable" or "sequence" => value => value is string or IReadOnlyList<object?> or IDictionary<string, object?>,
        "true" => value => value is true,
        "false" => value => value is false,
        _ => throw new XlstmException($"the test 'is {name}' is not supported"),
    };

    public static Func<object?, object?[], object?> Filter(string name) => name switch
    {
        "trim" => (value, _) => JinjaScope.ToText(value).Trim(),
        "upper" => (value, _) => JinjaScope.ToText(value).ToUpperInvariant(),
        "lower" => (value, _) => JinjaScope.ToText(value).ToLowerInvariant(),
        "string" => (value, _) => JinjaScope.ToText(value),
        "length" or "count" => (value, _) => Length(value),
        "default" or "d" => (value, arguments) => value == JinjaScope.Undefined ? arguments.FirstOrDefault("") : value,
        "first" => (value, _) => Member(value, 0L),
        "last" => (value, _) => Member(value, -1L),
        _ => throw new XlstmException($"the filter '{name}' is not supported"),
    };

    public static object? Method(string name, object? target, object?[] arguments) => (name, target, arguments) switch
    {
        ("strip", string s, []) => s.Trim(),
        ("lstrip", string s, []) => s.TrimStart(),
        ("rstrip", string s, []) => s.TrimEnd(),
        ("upper", string s, []) => s.ToUpperInvariant(),
        ("lower", string s, []) => s.ToLowerInvariant(),
        ("startswith", string s, [string start]) => s.StartsWith(start, StringComparison.Ordinal),
        ("endswith", string s, [string end]) => s.EndsWith(end, StringComparison.Ordinal),
        ("replace", string s, [string { Length: > 0 } old, string by]) => s.Replace(old, by, StringComparison.Ordinal),
        ("split", string s, [string { Length: > 0 } separator]) => s.Split(separator).ToArray<object?>(),
        ("get", IDictionary<string, object?> map, [string key]) => map.TryGetValue(key, out object? value) ? value : null,
        ("get", IDictionary<string, object?> map, [string key, var otherwise]) => map.TryGetValue(key, out object? value) ? value : otherwise,
        _ => throw new XlstmException($"the method .{name}() is not supported"),
    };

    public static object? Member(object? target, object? key) => (target, key) switch
    {
        (IDictionary<string, object?> map, string name) => map.TryGetValue(name, out object? value) ? value : JinjaScope.Undefined,
        (IReadOnlyList<object?> list, long index) => (index < 0 ? index + list.Count : index) is var i && i >= 0 && i < list.Count ? list[(int)i] : JinjaScope.Undefined,
        (string text, long index) => (index < 0 ? index + text.Length : index) is var i && i >= 0 && i < text.Length ? text[(int)i].ToString() : JinjaScope.Undefined,
        _ when target is null || target == JinjaScope.Undefined => throw new XlstmException($"it asks for {Checkpoints.ErrorText.Quote(JinjaScope.ToText(key))} of something that is not there"),
        _ => JinjaScope.Undefined,
    };

    public static object? Slice(object? target, object? first, object? last)
    {
        int length = (int)Length(target);
        int start = Bound(first, 0, length);
        int end = Math.Max(start, Bound(last, length, length));
        return target is string text ? text[start..end] : ((IReadOnlyList<object?>)target!).Skip(start).Take(end - start).ToArray();
    }

    public static bool Contains(object? container, object? item) => (container, item) switch
    {
        (string text, string part) => text.Contains(part, StringComparison.Ordinal),
        (IReadOnlyList<object?> list, _) => list.Any(element => Equals(element, item)),
        (IDictionary<string, object?> map, string key) => map.ContainsKey(key),
        _ => throw new XlstmException("'in' asks for something in what is no text, list or mapping"),
    };

    public static object Compare(string symbol, object? left, object? right) => (symbol, left, right) switch
    {
        ("==", _, _) => Equals(left, right),
        ("!=", _, _) => !Equals(left, right),
        ("<", long a, long b) => a < b,
        (">", long a, long b) => a > b,
        ("<=", long a, long b) => a <= b,
        (">=", long a, long b) => a >= b,
        _ => throw new XlstmException($"{symbol} compares what are not two numbers"),
    };

    public static object? Combine(string symbol, object? left, object? right) => (symbol, left, right) switch
    {
        ("~", _, _) => JinjaScope.ToText(left) + JinjaScope.ToText(right),
        ("+", string a, string b) => a + b,
        ("+", long a, long b) => a + b,
        ("+", IReadOnlyList<object?> a, IReadOnlyList<object?> b) => a.Concat(b).ToArray(),
        ("-", long a, long b) => a - b,
        ("%", long a, long b) when b > 0 => ((a % b) + b) % b,
        _ => throw new XlstmException($"{symbol} joins values that do not go together"),
    };

    private static long Length(object? value) => value switch
    {
        string s => s.Length,
        IReadOnlyList<object?> list => list.Count,
        IDictionary<string, object?> map => map.Count,
        _ => throw new XlstmException("it asks for the length of what is no text, list or mapping"),
    };

    private static int Bound(object? value, int missing, int length) =>
        value is not long index ? missing : (int)Math.Clamp(index < 0 ? index + length : index, 0, length);
}
