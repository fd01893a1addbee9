namespace Xlstm.Cli;

/// <summary>Finds the checkpoint folder that a command means.</summary>
internal static class ModelLocator
{
    public const string Variable = "XLSTM_MODEL";

    /// <param name="model">The value of <c>--model</c>; null when it is not given.</param>
    /// <exception cref="XlstmException">There is none.</exception>
    public static string Find(string? model)
    {
        if (model is not null)
        {
            return Resolve(model, "--model");
        }

        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } variable)
        {
            return Resolve(variable, Variable);
        }

        return FindDemo(Environment.CurrentDirectory) ?? FindDemo(AppContext.BaseDirectory)
            ?? throw new XlstmException($"no model: pass --model DIR, set {Variable}, or run inside a clone of the repository, which holds models/demo");
    }

    private static string Resolve(string model, string from)
    {
        if (Directory.Exists(model))
        {
            return Snapshot(model) ?? model;
        }
        // A Hugging Face name such as NX-AI/xLSTM-7b, downloaded before by Hugging Face's own tools.
        if (model.Split('/') is [{ Length: > 0 } owner, { Length: > 0 } name] && Snapshot(Path.Combine(HubCache, $"models--{owner}--{name}")) is { } snapshot)
        {
            return snapshot;
        }

        throw new XlstmException(File.Exists(model)
            ? $"{from} {model} is a file: give the folder that holds config.json and the safetensors"
            : $"{from} {model}: no such folder");
    }

    /// <summary>The checkpoint inside a folder of the Hugging Face cache, which keeps each revision under snapshots/.</summary>
    private static string? Snapshot(string folder)
    {
        string reference = Path.Combine(folder, "refs", "main");
        if (File.Exists(Path.Combine(folder, "config.json")) || !File.Exists(reference))
        {
            return null;
        }

        string snapshot = Path.Combine(folder, "snapshots", Path.GetFileName(File.ReadAllText(reference).Trim()));
        return Directory.Exists(snapshot) ? snapshot : null;
    }

    private static string HubCache =>
        Environment.GetEnvironmentVariable("HF_HUB_CACHE") is { Length: > 0 } cache ? cache
        : Environment.GetEnvironmentVariable("HF_HOME") is { Length: > 0 } home ? Path.Combine(home, "hub")
        : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "huggingface", "hub");

    private static string? FindDemo(string from)
    {
        for (var folder = new DirectoryInfo(from); folder is not null; folder = folder.Parent)
        {
            string demo = Path.Combine(folder.FullName, "models", "demo");
            if (File.Exists(Path.Combine(demo, "config.json")))
            {
                return demo;
            }
        }
        return null;
    }
}
