using System.Globalization;

namespace Xlstm.Cli.Output;

/// <summary>Large numbers for people: three digits and a decimal unit.</summary>
internal static class Quantity
{
    /// <summary>As "27.5 GB".</summary>
    public static string Bytes(long bytes) => bytes < 1000 ? $"{bytes} B" : Scale(bytes, ["B", "kB", "MB", "GB", "TB", "PB", "EB"]);

    /// <summary>As "6.87 B".</summary>
    public static string Count(long count) => count < 1000 ? count.ToString(CultureInfo.InvariantCulture) : Scale(count, ["", "k", "M", "B", "T", "Q", "Q"]);

    private static string Scale(double value, string[] units)
    {
        int unit = 0;
        // 999.5 would print as 1000.
        for (; value >= 999.5 && unit < units.Length - 1; unit++)
        {
            value /= 1000;
        }

        return value.ToString(value < 9.995 ? "F2" : value < 99.95 ? "F1" : "F0", CultureInfo.InvariantCulture) + " " + units[unit];
    }
}
