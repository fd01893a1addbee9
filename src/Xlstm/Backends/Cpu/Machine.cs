using System.Globalization;

namespace Xlstm.Backends.Cpu;

/// <summary>What this machine offers a process: cores and memory.</summary>
internal static class Machine
{
    private const string CpuFolder = "/sys/devices/system/cpu";

    /// <summary>
    /// Physical cores that this process may use: two hardware threads of one core share its vector units, and the second adds
    /// nothing to arithmetic. Known on Linux; elsewhere the number of logical processors.
    /// </summary>
    public static int PhysicalCores { get; } = Math.Max(1, Math.Min(Environment.ProcessorCount, CountCores() ?? Environment.ProcessorCount));

    /// <summary>Bytes of memory that a new allocation can have without pushing anything out, the limit of a container included.</summary>
    public static long AvailableMemory
    {
        get
        {
            GCMemoryInfo info = GC.GetGCMemoryInfo();
            long limit = info.TotalAvailableMemoryBytes; // physical memory or the container's limit
            long? free = ReadMemInfo("MemAvailable:");
            return free is { } available ? Math.Min(available, limit) : Math.Max(0, limit - info.MemoryLoadBytes);
        }
    }

    private static int? CountCores()
    {
        if (!Directory.Exists(CpuFolder))
        {
            return null;
        }

        try
        {
            var siblings = new HashSet<string>(StringComparer.Ordinal);
            for (int cpu = 0; cpu < 4096; cpu++)
            {
                string file = $"{CpuFolder}/cpu{cpu}/topology/thread_siblings_list";
                if (File.Exists(file))
                {
                    siblings.Add(File.ReadAllText(file).Trim());
                }
                else if (!Directory.Exists($"{CpuFolder}/cpu{cpu}"))
                {
                    break;
                }
            }

            return siblings.Count > 0 ? siblings.Count : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static long? ReadMemInfo(string key)
    {
        try
        {
            string? line = File.Exists("/proc/meminfo") ? File.ReadLines("/proc/meminfo").FirstOrDefault(l => l.StartsWith(key, StringComparison.Ordinal)) : null;
            string? value = line?[key.Length..].Replace("kB", "", StringComparison.Ordinal).Trim();
            return long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out long kibibytes) ? kibibytes * 1024 : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
