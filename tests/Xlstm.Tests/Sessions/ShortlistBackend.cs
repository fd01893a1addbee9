using Xlstm.Backends;
using Xlstm.Backends.Cpu;
using Xlstm.Checkpoints;

namespace Xlstm.Tests.Sessions;

/// <summary>
/// The CPU behind the seam of a device that keeps logits to itself: it hands out shortlists, in no order and now and then none,
/// and poisons what a session has no right to look at.
/// </summary>
internal sealed class ShortlistBackend(CpuBackend inner) : Backend
{
    private int _made;

    public override string Description => inner.Description;

    public override int Threads => inner.Threads;

    public override WeightFormat Weights => inner.Weights;

    public override StateFormat State => inner.State;

    public override long StateBytes => inner.StateBytes;

    public override long WeightBytes => inner.WeightBytes;

    public override long StepWeightBytes => inner.StepWeightBytes;

    public override long StepStateBytes => inner.StepStateBytes;

    public override int MaxBatchTokens => inner.MaxBatchTokens;

    public override int SmallestChunk => inner.SmallestChunk;

    public override long WorkspaceBytes => inner.WorkspaceBytes;

    public override int MaxShortlist => 64;

    /// <summary>Shortlists made.</summary>
    public int Made => _made;

    /// <summary>A model on such a device.</summary>
    public static (XlstmModel Model, ShortlistBackend Backend) Load(string folder)
    {
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        var backend = new ShortlistBackend(CpuBackend.Load(checkpoint, WeightFormat.Float32, 1, CpuInstructionSets.Best));
        Tokenizer? tokenizer = File.Exists(Path.Combine(folder, "tokenizer.json")) ? Tokenizer.Load(folder) : null;
        return (new XlstmModel(checkpoint, tokenizer, new GenerationOptions(), backend), backend);
    }

    public override MemoryBandwidth? MeasureMemory(long wantedBytes) => inner.MeasureMemory(wantedBytes);

    public override RecurrentState CreateState() => new KeptState(inner.CreateState());

    public override void Forward(ReadOnlySpan<BatchItem> items)
    {
        var passed = new BatchItem[items.Length];
        for (int i = 0; i < items.Length; i++)
        {
            var state = (KeptState)items[i].State;
            Array.Fill(state.Logits, float.NaN);
            bool stays = items[i].Output == Output.Shortlist;
            passed[i] = items[i] with { State = state.Inner, Output = stays ? Output.LastLogits : items[i].Output, Logits = stays ? state.Logits : items[i].Logits, Shortlist = null };
        }

        inner.Forward(passed);
        foreach (BatchItem item in items)
        {
            if (item.Output == Output.Shortlist && ++_made % 5 != 0)
            {
                Fill(item.Shortlist!, ((KeptState)item.State).Logits);
            }
        }
    }

    /// <summary>What a shortlist of logits has to hold, and a few tokens more than that.</summary>
    public static void Fill(Shortlist shortlist, float[] logits)
    {
        int[] ranked = [.. Enumerable.Range(0, logits.Length).Where(id => !shortlist.Forbidden.Contains(id)).OrderByDescending(id => logits[id])];
        float bound = logits[ranked[Math.Min(shortlist.Wanted, ranked.Length) - 1]];
        int[] ids = [.. ranked.TakeWhile((id, i) => logits[id] >= bound || i < shortlist.Wanted + 3)];
        shortlist.Set([.. ids.Reverse()], [.. ids.Reverse().Select(id => logits[id])]);
    }

    public override void Dispose() => inner.Dispose();

    private sealed class KeptState(RecurrentState inner) : RecurrentState(inner.Config)
    {
        public RecurrentState Inner => inner;

        public float[] Logits { get; } = new float[inner.Config.VocabSize];

        public override long ByteLength => inner.ByteLength;

        public override void Reset() => inner.Reset();

        public override void CopyBlockTo(int block, Span<float> destination) => inner.CopyBlockTo(block, destination);

        public override void CopyBlockFrom(int block, ReadOnlySpan<float> source) => inner.CopyBlockFrom(block, source);

        public override void CopyFrom(RecurrentState source)
        {
            inner.CopyFrom(((KeptState)source).Inner);
            ((KeptState)source).Logits.CopyTo(Logits, 0);
        }

        public override void CopyLogitsTo(Span<float> destination) => Logits.CopyTo(destination);

        public override void Dispose() => inner.Dispose();
    }
}
