namespace Xlstm.Tests.Reference;

/// <summary>The recurrent state of one sequence, [block][head].</summary>
internal sealed class ReferenceState(XlstmConfig config)
{
    public HeadState[][] Blocks { get; } =
    [
        .. Enumerable.Range(0, config.NumBlocks).Select(_ =>
            Enumerable.Range(0, config.NumHeads).Select(_ => new HeadState(config.QkHeadDim, config.VHeadDim)).ToArray()),
    ];
}

/// <summary>
/// The whole model once more, plain, scalar and in double precision: the second witness against which the engine is tested.
/// It is written from the model's description alone and shares no code with the engine but <see cref="XlstmConfig"/>.
/// </summary>
/// <param name="config">Sizes and constants.</param>
/// <param name="weights">Tensors by Hugging Face's single-matrix names, row-major; a missing <c>.bias</c> is zero.</param>
internal sealed class ReferenceModel(XlstmConfig config, IReadOnlyDictionary<string, double[]> weights)
{
    /// <summary>The cell over one head's tokens: (state, q, k, v, i, f) to h.</summary>
    private delegate double[][] Cell(HeadState state, double[][] q, double[][] k, double[][] v, double[] i, double[] f);

    /// <summary>Feeds one token; its logits [V].</summary>
    public double[] Step(ReferenceState state, int id) => Sequence(state, [id])[0];

    /// <summary>Feeds tokens, the cell one token after the other; the logits of each, [T][V].</summary>
    public double[][] Sequence(ReferenceState state, ReadOnlySpan<int> ids) =>
        Forward(state, ids, (head, q, k, v, i, f) => ReferenceCell.Steps(head, q, k, v, i, f, config.Eps));

    /// <summary>Feeds tokens, the cell in chunks; the logits of each, [T][V].</summary>
    public double[][] Chunkwise(ReferenceState state, ReadOnlySpan<int> ids, int chunkSize) =>
        Forward(state, ids, (head, q, k, v, i, f) => ReferenceCell.Chunks(head, q, k, v, i, f, config.Eps, chunkSize));

    private double[][] Forward(ReferenceState state, ReadOnlySpan<int> ids, Cell cell)
    {
        double[] embeddings = weights["backbone.embeddings.weight"];
        var x = new double[ids.Length][];
        for (int t = 0; t < ids.Length; t++)
        {
            x[t] = embeddings[(ids[t] * config.EmbeddingDim)..((ids[t] + 1) * config.EmbeddingDim)];
        }

        for (int block = 0; block < config.NumBlocks; block++)
        {
            string name = $"backbone.blocks.{block}.";
            x = Add(x, MlstmLayer(name + "mlstm_layer.", state.Blocks[block], Each(x, row => RmsNorm(name + "norm_mlstm", row)), cell));
            x = Add(x, Each(x, row => FeedForward(name + "ffn.", RmsNorm(name + "norm_ffn", row))));
        }

        if (config.AddOutNorm)
        {
            x = Each(x, row => RmsNorm("backbone.out_norm", row));
        }

        string lmHead = config.TieWordEmbeddings ? "backbone.embeddings" : "lm_head";
        return Each(x, row => Cap(Linear(lmHead, row), config.OutputLogitSoftCap));
    }

    private double[][] MlstmLayer(string name, HeadState[] heads, double[][] x, Cell cell)
    {
        int dqk = config.QkHeadDim;
        int dv = config.VHeadDim;
        double[][] q = Each(x, row => Linear(name + "q", row));
        double[][] k = Each(x, row => Linear(name + "k", row));
        double[][] v = Each(x, row => Linear(name + "v", row));
        double[][] o = Each(x, row => Linear(name + "ogate_preact", row));
        double[][] i = Each(x, row => Cap(Linear(name + "igate_preact", row), config.GateSoftCap));
        double[][] f = Each(x, row => Cap(Linear(name + "fgate_preact", row), config.GateSoftCap));

        var y = new double[x.Length][];
        for (int t = 0; t < x.Length; t++)
        {
            y[t] = new double[config.VDim];
        }

        for (int head = 0; head < config.NumHeads; head++)
        {
            Range qk = (head * dqk)..((head + 1) * dqk);
            Range vs = (head * dv)..((head + 1) * dv);
            double[][] h = cell(
                heads[head],
                Each(q, row => row[qk]),
                Each(k, row => row[qk]),
                Each(v, row => row[vs]),
                [.. i.Select(row => row[head])],
                [.. f.Select(row => row[head])]);
            for (int t = 0; t < x.Length; t++)
            {
                LayerNorm(h[t]).CopyTo(y[t], head * dv);
            }
        }

        return [.. y.Select((row, t) => Linear(name + "out_proj", Gate(o[t], Scale(name + "multihead_norm", row))))];
    }

    private double[] FeedForward(string name, double[] x)
    {
        double[] gate = Linear(name + "proj_up_gate", x);
        double[] up = Linear(name + "proj_up", x);
        return Linear(name + "proj_down", [.. gate.Zip(up, (g, u) => g * Sigmoid(g) * u)]);
    }

    private double[] RmsNorm(string name, double[] x)
    {
        double meanSquare = x.Sum(value => value * value) / x.Length;
        return Scale(name, [.. x.Select(value => value / Math.Sqrt(meanSquare + config.NormEps))]);
    }

    /// <summary>One head's mean taken off and its deviation divided out; the weight over all heads comes after.</summary>
    private double[] LayerNorm(double[] x)
    {
        double mean = x.Sum() / x.Length;
        double variance = x.Sum(value => (value - mean) * (value - mean)) / x.Length;
        return [.. x.Select(value => (value - mean) / Math.Sqrt(variance + config.NormEps))];
    }

    /// <summary>A norm's weight and bias.</summary>
    private double[] Scale(string name, double[] x) => AddBias(name, [.. x.Zip(weights[name + ".weight"], (value, weight) => value * weight)]);

    /// <summary>A linear layer: x W^T + bias.</summary>
    private double[] Linear(string name, double[] x)
    {
        double[] matrix = weights[name + ".weight"];
        var result = new double[matrix.Length / x.Length];
        for (int row = 0; row < result.Length; row++)
        {
            for (int column = 0; column < x.Length; column++)
            {
                result[row] += matrix[(row * x.Length) + column] * x[column];
            }
        }

        return AddBias(name, result);
    }

    private double[] AddBias(string name, double[] x) =>
        weights.TryGetValue(name + ".bias", out double[]? bias) ? [.. x.Zip(bias, (value, b) => value + b)] : x;

    private static double[] Gate(double[] o, double[] y) => [.. o.Zip(y, (gate, value) => Sigmoid(gate) * value)];

    private static double[] Cap(double[] x, float? cap) => cap is float c ? [.. x.Select(value => c * Math.Tanh(value / c))] : x;

    private static double Sigmoid(double z) => 1 / (1 + Math.Exp(-z));

    private static double[][] Each(double[][] x, Func<double[], double[]> map) => [.. x.Select(map)];

    private static double[][] Add(double[][] x, double[][] y) => [.. x.Zip(y, (a, b) => a.Zip(b, (p, q) => p + q).ToArray())];
}
