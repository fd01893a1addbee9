using System.Text;
using Xlstm.Cli.Output;

namespace Xlstm.Cli.Inspection;

/// <summary>A <see cref="CheckpointReport"/> for people.</summary>
internal static class ReportText
{
    public static string Of(CheckpointReport report)
    {
        var text = new StringBuilder();
        var (sizes, tokenizer) = (report.Sizes, report.Tokenizer);
        Row("Model", report.Model);
        Row("Parameters", $"{report.Parameters:N0} ({Quantity.Count(report.Parameters)})");
        Row("Blocks", $"{sizes.NumBlocks}, {sizes.EmbeddingDim} wide, feed-forward {sizes.FfnDim}");
        Row("Heads", $"{sizes.NumHeads}; queries and keys {sizes.QkHeadDim} wide, values {sizes.VHeadDim}");
        Row("Vocabulary", $"{sizes.VocabSize:N0} rows");
        Row("Stored as", report.Packed is { } format ? $"packed {format}, mapped as it is" : string.Join("; ", report.Dtypes.Select(d => $"{d.Key}, {d.Value.Tensors} tensors, {Quantity.Bytes(d.Value.Bytes)}")));
        Rows("Shards", report.Shards.Select(s => $"{s.Name}  {Quantity.Bytes(s.Bytes)}"));
        Rows("Memory", report.Memory.Select(m => $"{m.Key,-8}  {Quantity.Bytes(m.Value.TotalBytes)}: weights {Quantity.Bytes(m.Value.WeightBytes)}, workspace {Quantity.Bytes(m.Value.WorkspaceBytes)}, one session"));
        Row("Session", $"{Quantity.Bytes(report.StateBytes)} of state, whatever its length");
        Rows("Tokenizer", tokenizer is null
            ? ["none: no tokenizer.json, so prompts are token ids"]
            :
            [
                $"{tokenizer.Kind}, {tokenizer.Tokens:N0} tokens" + (tokenizer.PaddingRows > 0 ? $"; {tokenizer.PaddingRows} rows of the vocabulary have none and are never sampled" : ""),
                $"begin of text {Id(tokenizer.BosTokenId)}, end of text {Id(tokenizer.EosTokenId)}",
            ]);
        Rows("Config", report.Config.Select(entry => $"{entry.Key} = {Json.Compact(entry.Value)}"));
        Rows("Warnings", report.Warnings.DefaultIfEmpty("none"));
        return text.ToString();

        void Row(string name, string value) => text.Append($"{name,-12}").Append(value).Append('\n');

        void Rows(string name, IEnumerable<string> values)
        {
            foreach (string value in values)
            {
                Row(name, value);
                name = "";
            }
        }
    }

    private static string Id(int? id) => id is { } known ? $"{known}" : "unknown";
}
