using System.Text.Json;

namespace Xlstm.Cli.Output;

/// <summary>
/// The <c>mLSTMLayerConfig(...)</c> block that the official Python stack prints when it loads a model, from the same keys of
/// config.json, so that two installations can be compared by eye or by diff.
/// </summary>
internal static class ConfigBlock
{
    private const string Outer = "mLSTMLayerConfig(";
    private const string Inner = "mlstm_backend=mLSTMBackendConfig(";

    /// <param name="config">The validated sizes: they know both the older and the newer names of a key.</param>
    /// <param name="raw">Every key of config.json.</param>
    public static string Format(XlstmConfig config, IReadOnlyDictionary<string, JsonElement> raw)
    {
        // Defaults are those of transformers' xLSTMConfig, which are shown when a config leaves a key out.
        string Value(string key, string otherwise) => raw.TryGetValue(key, out var value) ? PythonRepr.Of(value) : otherwise;
        string Text(string key, string otherwise) => Value(key, PythonRepr.Of(otherwise));

        string[] backend =
        [
            "chunkwise_kernel=" + Text("chunkwise_kernel", "chunkwise--native_autograd"),
            "sequence_kernel=" + Text("sequence_kernel", "native_sequence__native"),
            "step_kernel=" + Text("step_kernel", "native"),
            "mode=" + Text("mode", "inference"),
            "chunk_size=" + Value("chunk_size", "64"),
            "return_last_states=" + Value("return_last_states", "True"),
            "autocast_kernel_dtype=" + Text("autocast_kernel_dtype", "bfloat16"),
            "eps=" + Value("eps", "1e-06"),
            "inference_state_dtype=" + Text("inference_state_dtype", "float32"),
        ];
        string[] layer =
        [
            $"embedding_dim={config.EmbeddingDim}",
            $"num_heads={config.NumHeads}",
            "use_bias=" + PythonRepr.Of(config.UseBias),
            "norm_eps=" + Value("norm_eps", "1e-06"),
            "norm_reduction_force_float32=" + Value("norm_reduction_force_float32", "True"),
            "qk_dim_factor=" + Value("qk_dim_factor", "0.5"),
            "v_dim_factor=" + Value("v_dim_factor", "1.0"),
            "gate_soft_cap=" + Value("gate_soft_cap", "15.0"),
            Inner + Join(backend, Outer.Length + Inner.Length) + ")",
            "weight_mode=" + Text("weight_mode", "single"),
        ];
        return Outer + Join(layer, Outer.Length) + ")";
    }

    private static string Join(string[] lines, int indent) => string.Join(",\n" + new string(' ', indent), lines);
}
