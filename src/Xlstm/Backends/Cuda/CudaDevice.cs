using System.Globalization;
using System.Text;
using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>A GPU as the driver describes it.</summary>
internal sealed unsafe record CudaDevice
{
    /// <summary>Oldest compute capability the kernels run on: bfloat16 tensor cores, cp.async.</summary>
    public const int OldestCapability = 80;

    /// <summary>N of <c>cuda:N</c>.</summary>
    public required int Ordinal { get; init; }

    /// <summary>The driver's handle.</summary>
    public required int Handle { get; init; }

    /// <summary>"NVIDIA H100 80GB HBM3".</summary>
    public required string Name { get; init; }

    /// <summary>10 major + minor: 90 for 9.0.</summary>
    public required int Capability { get; init; }

    public required int Multiprocessors { get; init; }

    /// <summary>Most shared memory of a block of threads, in bytes.</summary>
    public required int MaxSharedBytes { get; init; }

    public required long MemoryBytes { get; init; }

    /// <summary>Why the kernels cannot run on it; null if they can.</summary>
    public string? Fault => Capability >= OldestCapability
        ? null
        : $"{Name} has compute capability {Capability / 10}.{Capability % 10}, but 8.0 (Ampere, 2020) or later is needed";

    /// <summary>The GPUs of this machine, or why there are none to use.</summary>
    /// <param name="fault">Null if there is a driver; else one line.</param>
    public static IReadOnlyList<CudaDevice> Find(out string? fault)
    {
        try
        {
            int result = CudaDriver.Init(0);
            if (result == CudaError.NoDevice)
            {
                fault = "the NVIDIA driver finds no GPU";
                return [];
            }

            CudaError.Check(result, "starting the driver");
            CudaError.Check(CudaDriver.DriverGetVersion(out int version), "asking for the driver's version");
            if (version < 11080)
            {
                fault = string.Create(CultureInfo.InvariantCulture, $"the NVIDIA driver is for CUDA {version / 1000}.{version % 1000 / 10}, but 11.8 (driver 520) or later is needed");
                return [];
            }

            CudaError.Check(CudaDriver.DeviceGetCount(out int count), "counting GPUs");
            fault = count == 0 ? "the NVIDIA driver finds no GPU" : null;
            return [.. Enumerable.Range(0, count).Select(Describe)];
        }
        catch (DllNotFoundException)
        {
            fault = $"no NVIDIA driver is installed ({CudaDriver.FileName} was not found)";
            return [];
        }
        catch (EntryPointNotFoundException e)
        {
            fault = $"the NVIDIA driver is too old: 520 or later is needed ({e.Message})";
            return [];
        }
        catch (XlstmException e)
        {
            fault = e.Message;
            return [];
        }
    }

    /// <summary>A usable GPU by number.</summary>
    /// <exception cref="XlstmException">There is none, or the kernels do not run on it.</exception>
    public static CudaDevice Get(int ordinal)
    {
        IReadOnlyList<CudaDevice> devices = Find(out string? fault);
        if (fault is not null)
        {
            throw new XlstmException($"no CUDA device: {fault}");
        }

        if (ordinal >= devices.Count)
        {
            throw new XlstmException($"no device cuda:{ordinal}: there {(devices.Count == 1 ? "is 1 GPU" : $"are {devices.Count} GPUs")}, counted from 0");
        }

        return devices[ordinal].Fault is { } own ? throw new XlstmException($"cuda:{ordinal}: {own}") : devices[ordinal];
    }

    private static CudaDevice Describe(int ordinal)
    {
        CudaError.Check(CudaDriver.DeviceGet(out int device, ordinal), $"finding GPU {ordinal}");
        byte* name = stackalloc byte[256];
        CudaError.Check(CudaDriver.DeviceGetName(name, 256, device), "asking for a GPU's name");
        CudaError.Check(CudaDriver.DeviceTotalMem(out nuint bytes, device), "asking for a GPU's memory");
        return new CudaDevice
        {
            Ordinal = ordinal,
            Handle = device,
            Name = Encoding.UTF8.GetString(System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name)),
            Capability = (10 * Ask(DeviceAttribute.ComputeCapabilityMajor)) + Ask(DeviceAttribute.ComputeCapabilityMinor),
            Multiprocessors = Ask(DeviceAttribute.MultiprocessorCount),
            MaxSharedBytes = Ask(DeviceAttribute.MaxSharedMemoryPerBlockOptIn),
            MemoryBytes = (long)bytes,
        };

        int Ask(DeviceAttribute attribute)
        {
            CudaError.Check(CudaDriver.DeviceGetAttribute(out int value, attribute, device), "asking for a GPU's properties");
            return value;
        }
    }
}
