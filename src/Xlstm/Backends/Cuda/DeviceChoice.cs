using System.Globalization;
using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cuda;

/// <summary>What <see cref="LoadOptions.Device"/> means on this machine.</summary>
internal static class DeviceChoice
{
    private const string Cuda = "cuda";

    /// <summary>The GPU to use, or null for the CPU.</summary>
    /// <param name="device">"auto", "cpu", "cuda" or "cuda:N".</param>
    /// <param name="checkpoint">The model.</param>
    /// <param name="recipe">How its weights are to be held.</param>
    /// <exception cref="XlstmException">It is none of these, or the GPU asked for is not there or cannot run the model.</exception>
    public static CudaDevice? Choose(string device, Checkpoint checkpoint, WeightRecipe recipe)
    {
        ArgumentNullException.ThrowIfNull(device);
        string name = device.ToLowerInvariant();
        switch (name)
        {
            case "cpu":
                return null;
            case "auto":
                return CudaDevice.Find(out _).FirstOrDefault(gpu => WhyNot(gpu, checkpoint, recipe) is null);
            default:
                break;
        }

        int ordinal = 0;
        if (name != Cuda && !(name.StartsWith(Cuda + ":", StringComparison.Ordinal) && int.TryParse(name.AsSpan(Cuda.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ordinal)))
        {
            throw new XlstmException($"device is {device}, expected auto, cpu, cuda or cuda:N");
        }

        CudaDevice chosen = name == Cuda ? CudaDevice.Find(out _).FirstOrDefault(gpu => gpu.Fault is null) ?? CudaDevice.Get(0) : CudaDevice.Get(ordinal);
        return WhyNot(chosen, checkpoint, recipe) is { } fault ? throw new XlstmException(fault) : chosen;
    }

    /// <summary>Why a GPU cannot run a model, in one line; null if it can.</summary>
    private static string? WhyNot(CudaDevice gpu, Checkpoint checkpoint, WeightRecipe recipe)
    {
        if (gpu.Fault is { } fault)
        {
            return fault;
        }

        XlstmConfig config = checkpoint.Config;
        long Need(WeightRecipe r) => CudaWeightLayout.Measure(config, r, ModelStage.All(config)) + CudaState.DeviceBytes(config) + RowsPass.WorkspaceBytes(config, r.Format);
        long need = Need(CudaWeightLayout.RecipeOf(checkpoint, recipe));
        using var context = new CudaContext(gpu);
        long free = context.FreeMemory;
        if (need <= free)
        {
            return null;
        }

        // The most exact format that fits: they are listed from large to small.
        WeightFormat[] fitting = [.. Enum.GetValues<WeightFormat>().Where(format => format > recipe.Format && Need(format) <= free)];
        string advice = fitting.Length > 0 ? $"--weights {PackedFile.NameOf(fitting[0])} needs {DeviceBuffer.Gigabytes(Need(fitting[0]))} GB" : "close other programs on the GPU, or take --device cpu";
        return $"{gpu.Name}: out of memory: the model, one session and the workspace need {DeviceBuffer.Gigabytes(need)} GB with {PackedFile.NameOf(recipe.Format)} weights, but {DeviceBuffer.Gigabytes(free)} GB are free: {advice}";
    }
}
