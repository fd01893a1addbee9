using System.Globalization;
using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints;

namespace Xlstm.Backends.Cuda;

/// <summary>What <see cref="LoadOptions.Device"/> means on this machine.</summary>
internal static class DeviceChoice
{
    private const string Cuda = "cuda";

    /// <summary>The GPU to use, or null for the CPU.</summary>
    /// <param name="device">"auto", "cpu", "cuda" or "cuda:N".</param>
    /// <param name="checkpoint">The model.</param>
    /// <param name="format">How its weights are to be held.</param>
    /// <param name="state">How the states of sessions are to be held.</param>
    /// <exception cref="XlstmException">It is none of these, or the GPU asked for is not there or cannot run the model.</exception>
    public static CudaDevice? Choose(string device, Checkpoint checkpoint, WeightFormat format, StateFormat state)
    {
        ArgumentNullException.ThrowIfNull(device);
        string name = device.ToLowerInvariant();
        switch (name)
        {
            case "cpu":
                return null;
            case "auto":
                return CudaDevice.Find(out _).FirstOrDefault(gpu => WhyNot(gpu, checkpoint, format, state) is null);
            default:
                break;
        }

        int ordinal = 0;
        if (name != Cuda && !(name.StartsWith(Cuda + ":", StringComparison.Ordinal) && int.TryParse(name.AsSpan(Cuda.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ordinal)))
        {
            throw new XlstmException($"device is {device}, expected auto, cpu, cuda or cuda:N");
        }

        CudaDevice chosen = name == Cuda ? CudaDevice.Find(out _).FirstOrDefault(gpu => gpu.Fault is null) ?? CudaDevice.Get(0) : CudaDevice.Get(ordinal);
        return WhyNot(chosen, checkpoint, format, state) is { } fault ? throw new XlstmException(fault) : chosen;
    }

    /// <summary>Why a GPU cannot run a model, in one line; null if it can.</summary>
    private static string? WhyNot(CudaDevice gpu, Checkpoint checkpoint, WeightFormat format, StateFormat state)
    {
        if (gpu.Fault is { } fault)
        {
            return fault;
        }

        if (format is not (WeightFormat.Float32 or WeightFormat.BFloat16))
        {
            return $"{gpu.Name}: {format.ToString().ToLowerInvariant()} weights run on the CPU only: take --weights bfloat16, or --device cpu";
        }

        if (checkpoint.PackedFormat is not null)
        {
            return $"{gpu.Name}: {checkpoint.Folder} is packed for the CPU: load the checkpoint it was made from, or take --device cpu";
        }

        XlstmConfig config = checkpoint.Config;
        int elementSize = CudaWeights.ElementSizeOf(format);
        long workspace = RowsPass.WorkspaceBytes(config, elementSize);
        long need = CudaWeightLayout.Measure(config, format, ModelStage.All(config)) + new CudaStateLayout(config, state).ByteLength + workspace;
        using var context = new CudaContext(gpu);
        long free = context.FreeMemory;
        return need <= free
            ? null
            : $"{gpu.Name}: out of memory: the model, one session and the workspace need {DeviceBuffer.Gigabytes(need)} GB, but {DeviceBuffer.Gigabytes(free)} GB are free: close other programs on the GPU{(format == WeightFormat.Float32 ? ", or take --weights bfloat16" : ", or take --device cpu")}";
    }
}
