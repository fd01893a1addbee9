namespace Xlstm.Cli.Output;

/// <summary>Shows on a bar how far a load has come.</summary>
internal sealed class ShardProgress(ProgressBar bar) : IProgress<LoadProgress>
{
    public void Report(LoadProgress value) =>
        bar.Report(value.Bytes > 0 ? (double)value.BytesDone / value.Bytes : 0, value.ShardsDone, value.Shards);
}
