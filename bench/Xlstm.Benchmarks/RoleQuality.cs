using System.Globalization;
using Xlstm.Backends.Cpu;
using Xlstm.Calibration;
using Xlstm.Checkpoints;
using Xlstm.Checkpoints.Packed;
using Xlstm.Memory;

namespace Xlstm.Benchmarks;

/// <summary>
/// What each role of the demo model's matrices costs when it alone is rounded and all else is bfloat16: mean divergence and
/// change of perplexity against bfloat16 on texts. Writes a table; eng/measure-quality.sh keeps it.
/// </summary>
internal static class RoleQuality
{
    private static readonly (TensorRole Role, string Name)[] Roles =
    [
        (TensorRole.Q, "q"), (TensorRole.K, "k"), (TensorRole.V, "v"), (TensorRole.OGatePreact, "ogate_preact"), (TensorRole.OutProj, "out_proj"),
        (TensorRole.ProjUpGate, "proj_up_gate"), (TensorRole.ProjUp, "proj_up"), (TensorRole.ProjDown, "proj_down"),
        (TensorRole.LmHead, "lm_head"), (TensorRole.Embeddings, "embeddings"),
    ];

    public static int Run(string[] arguments)
    {
        int tokens = int.MaxValue;
        string? calibrate = null;
        while (arguments is [("--tokens" or "--calibrate") and var option, var value, .. var rest])
        {
            (tokens, calibrate) = option == "--tokens" ? (int.Parse(value, CultureInfo.InvariantCulture), calibrate) : (tokens, value);
            arguments = rest;
        }

        using Checkpoint checkpoint = Checkpoint.Open(Path.Combine("models", "demo"));
        using XlstmModel reference = XlstmModel.Load(checkpoint, new LoadOptions { Weights = WeightFormat.BFloat16 });
        int[][] texts = [.. arguments.Select(path => reference.Tokenizer!.Encode(File.ReadAllText(path)).Take(tokens).ToArray())];
        int[]? calibration = calibrate is null ? null : [reference.BeginOfText, .. reference.Tokenizer!.Encode(File.ReadAllText(calibrate))];
        Console.WriteLine("| role | parameters | int8: KL mean | perplexity | int4: KL mean | perplexity | int4 calibrated: KL mean | perplexity |");
        Console.WriteLine("|---|---:|---:|---:|---:|---:|---:|---:|");
        foreach ((TensorRole role, string name) in Roles)
        {
            bool inBlocks = role is not (TensorRole.LmHead or TensorRole.Embeddings);
            string int8 = Cells(checkpoint, reference, new WeightRecipe(WeightFormat.Int8) { Only = role }, null, texts);
            var int4 = new WeightRecipe(WeightFormat.Int4) { Only = role };
            string plain = Cells(checkpoint, reference, int4, null, texts), compensated = inBlocks && calibration is not null ? Cells(checkpoint, reference, int4, calibration, texts) : " | ";
            long parameters = new PackedLayout(checkpoint.Config, int4).Tensors.Where(tensor => tensor.Role == role && !tensor.IsVector).Sum(tensor => (long)tensor.Rows * tensor.Cols);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {name} | {100.0 * parameters / checkpoint.Config.ParameterCount:F1} % | {int8} | {plain} | {compensated} |"));
        }

        return 0;
    }

    private static string Cells(Checkpoint checkpoint, XlstmModel reference, WeightRecipe recipe, int[]? calibration, int[][] texts)
    {
        int threads = reference.Threads;
        var layout = new PackedLayout(checkpoint.Config, recipe);
        NativeBuffer memory = calibration is null
            ? PackedLoader.Load(checkpoint, layout, threads, null, CancellationToken.None)
            : ModelCalibrator.Load(checkpoint, layout, calibration, threads, null, CancellationToken.None);
        using var model = new XlstmModel(checkpoint, reference.Tokenizer, reference.DefaultGeneration, new CpuBackend(new CpuWeights(layout, memory), threads, CpuInstructionSets.Best));
        using var evaluator = new TextEvaluator(model, reference);
        foreach (int[] text in texts)
        {
            evaluator.Add(text);
        }

        PredictionScore score = evaluator.Total!;
        double change = Math.Round(100 * (score.Divergence!.PerplexityRatio - 1), 3) + 0.0; // no negative zero, which would be written "-+0.000"
        return string.Create(CultureInfo.InvariantCulture, $"{score.Divergence.MeanDivergence:F6} | {change:+0.000;-0.000} %");
    }
}
