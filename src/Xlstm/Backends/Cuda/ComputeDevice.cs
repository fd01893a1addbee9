using System.Globalization;
using Xlstm.Backends.Cpu;
using Xlstm.Backends.Cuda;
using Xlstm.Backends.Cuda.Interop;

namespace Xlstm;

/// <summary>A place on this machine where a model could run.</summary>
/// <param name="Name">What <see cref="LoadOptions.Device"/> calls it: "cpu", "cuda:0"; "cuda" where there is no GPU at all.</param>
/// <param name="Description">What it is, and its memory.</param>
/// <param name="Fault">Why it cannot be used, in one line; null if it can.</param>
public sealed record ComputeDevice(string Name, string Description, string? Fault)
{
    /// <summary>Everything found, the CPU first.</summary>
    public static IReadOnlyList<ComputeDevice> Find()
    {
        var found = new List<ComputeDevice>
        {
            new("cpu", $"{Machine.PhysicalCores} cores, {CpuInstructionSets.Best.DisplayName()}, {DeviceBuffer.Size(Machine.AvailableMemory)} free", null),
        };
        IReadOnlyList<CudaDevice> gpus = CudaDevice.Find(out string? fault);
        if (fault is not null)
        {
            found.Add(new("cuda", "NVIDIA GPU", fault));
        }

        foreach (CudaDevice gpu in gpus)
        {
            found.Add(new(
                string.Create(CultureInfo.InvariantCulture, $"cuda:{gpu.Ordinal}"),
                $"{gpu.Name}, {DeviceBuffer.Size(gpu.MemoryBytes)}, compute capability {gpu.Capability / 10}.{gpu.Capability % 10}",
                gpu.Fault));
        }

        return found;
    }
}
