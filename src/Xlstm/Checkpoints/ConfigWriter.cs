using System.Globalization;
using System.Text.Json;

namespace Xlstm.Checkpoints;

/// <summary>Writes config.json with every key that transformers' xLSTMConfig has.</summary>
internal static class ConfigWriter
{
    /// <param name="config">What the model is.</param>
    /// <param name="type">What its tensors are stored as.</param>
    /// <returns>UTF-8.</returns>
    public static byte[] Write(XlstmConfig config, ElementType type)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteStartArray("architectures");
            json.WriteStringValue("xLSTMForCausalLM");
            json.WriteEndArray();
            json.WriteString("model_type", "xlstm");
            WriteSizes(json, config);
            WriteKernels(json, type);
            json.WriteNumber("bos_token_id", 0);
            json.WriteNumber("eos_token_id", 0);
            json.WriteNumber("pad_token_id", 1);
            json.WriteString("torch_dtype", TorchName(type));
            json.WriteEndObject();
        }

        stream.WriteByte((byte)'\n');
        return stream.ToArray();
    }

    private static void WriteSizes(Utf8JsonWriter json, XlstmConfig config)
    {
        json.WriteNumber("vocab_size", config.VocabSize);
        json.WriteNumber("hidden_size", config.EmbeddingDim);
        json.WriteNumber("embedding_dim", config.EmbeddingDim);
        json.WriteNumber("num_hidden_layers", config.NumBlocks);
        json.WriteNumber("num_blocks", config.NumBlocks);
        json.WriteNumber("num_heads", config.NumHeads);
        json.WriteBoolean("use_bias", config.UseBias);
        WriteReal(json, "norm_eps", config.NormEps.ToString("R", CultureInfo.InvariantCulture));
        json.WriteBoolean("tie_word_embeddings", config.TieWordEmbeddings);
        json.WriteBoolean("add_out_norm", config.AddOutNorm);
        WriteReal(json, "qk_dim_factor", config.QkDimFactor.ToString("R", CultureInfo.InvariantCulture));
        WriteReal(json, "v_dim_factor", config.VDimFactor.ToString("R", CultureInfo.InvariantCulture));
        WriteReal(json, "eps", config.Eps.ToString("R", CultureInfo.InvariantCulture));
        WriteReal(json, "ffn_proj_factor", config.FfnProjFactor.ToString("R", CultureInfo.InvariantCulture));
        json.WriteNumber("ffn_round_up_to_multiple_of", config.FfnRoundUpToMultipleOf);
        WriteReal(json, "gate_soft_cap", config.GateSoftCap?.ToString("R", CultureInfo.InvariantCulture));
        WriteReal(json, "output_logit_soft_cap", config.OutputLogitSoftCap?.ToString("R", CultureInfo.InvariantCulture));
        json.WriteString("weight_mode", config.WeightMode == WeightMode.Fused ? "fused" : "single");
    }

    /// <summary>What the official code wants to be told about its kernels: the values that run everywhere.</summary>
    private static void WriteKernels(Utf8JsonWriter json, ElementType type)
    {
        json.WriteBoolean("norm_reduction_force_float32", true);
        json.WriteString("chunkwise_kernel", "chunkwise--native_autograd");
        json.WriteString("sequence_kernel", "native_sequence__native");
        json.WriteString("step_kernel", "native");
        json.WriteString("mode", "inference");
        json.WriteNumber("chunk_size", 64);
        json.WriteBoolean("return_last_states", true);
        json.WriteString("autocast_kernel_dtype", TorchName(type));
        json.WriteString("inference_state_dtype", "float32");
    }

    /// <summary>A floating point number with a point or exponent, so that Python reads a float where it wants one.</summary>
    private static void WriteReal(Utf8JsonWriter json, string key, string? number)
    {
        json.WritePropertyName(key);
        if (number is null)
        {
            json.WriteNullValue();
        }
        else
        {
            json.WriteRawValue(number.AsSpan().IndexOfAny('.', 'E') < 0 ? number + ".0" : number);
        }
    }

    private static string TorchName(ElementType type) => type switch
    {
        ElementType.Float32 => "float32",
        ElementType.BFloat16 => "bfloat16",
        ElementType.Float16 => "float16",
        _ => throw new ArgumentOutOfRangeException(nameof(type)),
    };
}
