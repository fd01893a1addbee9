using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Xlstm.Cli.Output;

/// <summary>JSON values as Python's <c>repr</c> prints them.</summary>
internal static class PythonRepr
{
    public static string Of(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.True => "True",
        JsonValueKind.False => "False",
        JsonValueKind.Null or JsonValueKind.Undefined => "None",
        JsonValueKind.String => Of(value.GetString()!),
        JsonValueKind.Number => value.GetRawText() is var raw && raw.AsSpan().IndexOfAny('.', 'e', 'E') < 0 ? raw : Of(value.GetDouble()),
        JsonValueKind.Array => "[" + string.Join(", ", value.EnumerateArray().Select(Of)) + "]",
        _ => "{" + string.Join(", ", value.EnumerateObject().Select(p => Of(p.Name) + ": " + Of(p.Value))) + "}",
    };

    public static string Of(bool value) => value ? "True" : "False";

    /// <summary>The shortest digits that read back as the same number, with an exponent below 1e-4 and from 1e16 on.</summary>
    public static string Of(double value)
    {
        if (double.IsNaN(value))
        {
            return "nan";
        }

        if (double.IsInfinity(value))
        {
            return value > 0 ? "inf" : "-inf";
        }
        // "E16" would not be shortest; the round-trip form is, and only its layout differs from Python's.
        string[] parts = value.ToString("R", CultureInfo.InvariantCulture).Split('E');
        string sign = parts[0].StartsWith('-') ? "-" : "";
        string mantissa = parts[0].TrimStart('-');
        int point = mantissa.IndexOf('.', StringComparison.Ordinal) is var p and >= 0 ? p : mantissa.Length;
        int exponent = parts.Length > 1 ? int.Parse(parts[1], CultureInfo.InvariantCulture) : 0;
        string all = mantissa.Replace(".", "", StringComparison.Ordinal);
        string digits = all.TrimStart('0');
        int scale = point + exponent - (all.Length - digits.Length); // value = 0.digits * 10^scale
        digits = digits.TrimEnd('0');
        if (digits.Length == 0)
        {
            return sign + "0.0";
        }

        if (scale is <= -4 or > 16)
        {
            return $"{sign}{digits[0]}{(digits.Length > 1 ? "." + digits[1..] : "")}e{(scale > 0 ? '+' : '-')}{Math.Abs(scale - 1):D2}";
        }

        if (scale <= 0)
        {
            return sign + "0." + new string('0', -scale) + digits;
        }

        return scale >= digits.Length
            ? sign + digits + new string('0', scale - digits.Length) + ".0"
            : sign + digits[..scale] + "." + digits[scale..];
    }

    public static string Of(string value)
    {
        char quote = value.Contains('\'') && !value.Contains('"') ? '"' : '\'';
        var repr = new StringBuilder(value.Length + 2).Append(quote);
        foreach (char c in value)
        {
            _ = c switch
            {
                '\\' => repr.Append(@"\\"),
                '\n' => repr.Append(@"\n"),
                '\r' => repr.Append(@"\r"),
                '\t' => repr.Append(@"\t"),
                _ when c == quote => repr.Append('\\').Append(c),
                < ' ' or '\x7f' => repr.Append(CultureInfo.InvariantCulture, $"\\x{(int)c:x2}"),
                _ => repr.Append(c),
            };
        }
        return repr.Append(quote).ToString();
    }
}
