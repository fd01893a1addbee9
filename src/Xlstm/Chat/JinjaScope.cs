using System.Globalization;
using System.Text;

namespace Xlstm.Chat;

/// <summary>
/// Values of a template's names. A value is a string, a long, a bool, null (Jinja's none), a list (<c>IReadOnlyList</c>), a
/// mapping (<c>IDictionary</c> by string) or <see cref="Undefined"/>.
/// </summary>
/// <param name="parent">Where names are looked for that are not here.</param>
/// <param name="output">What the template writes.</param>
internal sealed class JinjaScope(JinjaScope? parent, StringBuilder output)
{
    private readonly Dictionary<string, object?> _values = [];

    /// <summary>The value of what is not there.</summary>
    public static object Undefined { get; } = new();

    /// <summary>What the template writes.</summary>
    public StringBuilder Output { get; } = output;

    public object? this[string name]
    {
        get => _values.TryGetValue(name, out object? value) ? value : parent is null ? Undefined : parent[name];
        set => _values[name] = value;
    }

    public static bool IsTrue(object? value) => value switch
    {
        bool b => b,
        long n => n != 0,
        string s => s.Length > 0,
        IReadOnlyList<object?> list => list.Count > 0,
        IDictionary<string, object?> map => map.Count > 0,
        _ => false,
    };

    public static string ToText(object? value) => value switch
    {
        string s => s,
        long n => n.ToString(CultureInfo.InvariantCulture),
        bool b => b ? "True" : "False",
        null => "None",
        _ when value == Undefined => "",
        _ => throw new XlstmException("it writes a list or mapping, which is not supported"),
    };
}
