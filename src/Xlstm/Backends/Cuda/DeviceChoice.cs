using System.Globalization;
using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cuda;

/// <summary>What <see cref="LoadOptions.Device"/> comes to on this machine.</summary>
/// <param name="Places">The GPUs and their blocks; none for the CPU.</param>
/// <param name="WhyNoGpu">Why "auto" came to the CPU, in one line; null otherwise.</param>
/// <param name="HasGpu">Whether there is one that was passed over.</param>
internal sealed record DeviceChoice(IReadOnlyList<DevicePlace> Places, string? WhyNoGpu = null, bool HasGpu = false)
{
    private const string Cuda = "cuda";
    private const string Expected = "auto, cpu, cuda, cuda:N or cuda:N,M,...";

    /// <summary>Chooses.</summary>
    /// <param name="device">"auto", "cpu", "cuda", "cuda:N" or "cuda:N,M,...".</param>
    /// <param name="checkpoint">The model.</param>
    /// <param name="recipe">How its weights are to be held.</param>
    /// <param name="state">How the states of sessions are to be held.</param>
    /// <exception cref="XlstmException">It is none of these, or a GPU asked for is not there or cannot run the model.</exception>
    public static DeviceChoice Make(string device, Checkpoint checkpoint, WeightRecipe recipe, StateFormat state)
    {
        ArgumentNullException.ThrowIfNull(device);
        var model = new Candidate(checkpoint, CudaWeightLayout.RecipeOf(checkpoint, recipe), state);
        switch (device.ToLowerInvariant())
        {
            case "cpu":
                return new DeviceChoice([]);
            case "auto":
                return Auto(model);
            case Cuda:
                return Demand(model, [CudaDevice.Find(out _).FirstOrDefault(gpu => gpu.Fault is null) ?? CudaDevice.Get(0)]);
            case var name when name.StartsWith(Cuda + ":", StringComparison.Ordinal):
                return Demand(model, [.. Ordinals(device, name[(Cuda.Length + 1)..]).Select(CudaDevice.Get)]);
            default:
                throw new XlstmException($"device is {device}, expected {Expected}");
        }
    }

    private static int[] Ordinals(string device, string list)
    {
        var ordinals = new List<int>();
        foreach (string text in list.Split(','))
        {
            if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int ordinal))
            {
                throw new XlstmException($"device is {device}, expected {Expected}");
            }

            ordinals.Add(ordinals.Contains(ordinal) ? throw new XlstmException($"device is {device}, which names cuda:{ordinal} twice") : ordinal);
        }

        return [.. ordinals];
    }

    private static DeviceChoice Demand(Candidate model, CudaDevice[] gpus) =>
        model.Place(gpus, out string? fault) is { } places ? new DeviceChoice(places) : throw new XlstmException(fault!);

    /// <summary>The first GPU that can run the model alone, else all together, else the CPU.</summary>
    private static DeviceChoice Auto(Candidate model)
    {
        CudaDevice[] all = [.. CudaDevice.Find(out string? none)], usable = [.. all.Where(gpu => gpu.Fault is null)];
        string? why = none ?? (usable.Length == 0 ? all[0].Fault : null);
        foreach (CudaDevice[] gpus in usable.Select(gpu => new[] { gpu }).Concat(usable.Length > 1 ? [usable] : []))
        {
            if (model.Place(gpus, out string? fault) is { } places)
            {
                return new DeviceChoice(places);
            }

            why ??= fault;
        }

        return new DeviceChoice([], why, all.Length > 0);
    }

    /// <summary>A model that is to be placed.</summary>
    private sealed record Candidate(Checkpoint Checkpoint, WeightRecipe Recipe, StateFormat State)
    {
        /// <summary>Divides the model over GPUs; null, and one line, if they cannot run it.</summary>
        public IReadOnlyList<DevicePlace>? Place(CudaDevice[] gpus, out string? fault)
        {
            string names = string.Join(" + ", gpus.Select(gpu => gpu.Name));
            XlstmConfig config = Checkpoint.Config;
            fault = gpus.FirstOrDefault(gpu => gpu.Fault is not null)?.Fault
                ?? (gpus.Length > config.NumBlocks ? $"{Checkpoint.Folder}: has {config.NumBlocks} blocks, too few for {gpus.Length} GPUs" : null);
            if (fault is not null)
            {
                return null;
            }

            long[] free = [.. gpus.Select(Free)];
            if (StagePlan.Divide(config.NumBlocks, stage => BytesOf(Recipe, stage), free) is { } stages)
            {
                return [.. gpus.Zip(stages, (gpu, stage) => new DevicePlace(gpu, stage))];
            }

            // The most exact format that fits: they are listed from large to small.
            WeightRecipe[] fitting = [.. Enum.GetValues<WeightFormat>().Where(format => format > Recipe.Format).Select(format => new WeightRecipe(format))
                .Where(recipe => StagePlan.Divide(config.NumBlocks, stage => BytesOf(recipe, stage), free) is not null)];
            string advice = fitting.Length > 0
                ? $"--weights {PackedFile.NameOf(fitting[0].Format)} needs {DeviceBuffer.Size(BytesOf(fitting[0], ModelStage.All(config)))}"
                : "close other programs on the GPU, or take --device cpu";
            fault = $"{names}: out of memory: the model, one session and the workspace need {DeviceBuffer.Size(BytesOf(Recipe, ModelStage.All(config)))} with {PackedFile.NameOf(Recipe.Format)} weights, but {string.Join(" + ", free.Select(DeviceBuffer.Size))} are free: {advice}";
            return null;
        }

        private static long Free(CudaDevice gpu)
        {
            using var context = new CudaContext(gpu);
            return context.FreeMemory;
        }

        private long BytesOf(WeightRecipe recipe, ModelStage stage) => CudaStage.Measure(Checkpoint.Config, recipe, State, stage);
    }
}
