using Xlstm.Calibration;

namespace Xlstm.Backends.Cpu;

/// <summary>One block by itself, for calibration: its matrices' inputs, and the residual stream behind it.</summary>
internal sealed unsafe partial class ForwardPass
{
    // The input that the run under way ends at; null outside of calibration.
    private InputCapture? _capture;

    /// <summary>Runs one block, or its part before some input. One call at a time.</summary>
    /// <param name="block">The block.</param>
    /// <param name="state">The sequence's state before these tokens; of other blocks nothing is read or changed.</param>
    /// <param name="x">The residual stream before the block, float32 [tokens, D]; the one behind it afterwards, unless a capture ends the run.</param>
    /// <param name="capture">What to keep, and where to stop; null for the whole block.</param>
    public void RunBlock(int block, CpuState state, Span<float> x, InputCapture? capture)
    {
        int tokens = x.Length / _config.EmbeddingDim;
        try
        {
            _sequences.Add(new Sequence(state, 0, tokens));
            Shape(tokens);
            x.CopyTo(new Span<float>(_workspace.X, x.Length));
            _capture = capture;
            if (capture is not null)
            {
                capture.Rows.Count = tokens;
            }

            _pool.Run(new BlockWork(this, block));
            if (capture is null)
            {
                new ReadOnlySpan<float>(_workspace.X, x.Length).CopyTo(x);
            }
        }
        finally
        {
            _capture = null;
            _sequences.Clear();
        }
    }

    private void Keep(MatrixInput source, int t, float* row, int cols)
    {
        if (_capture is { } capture && capture.Input == source)
        {
            capture.Rows.Set(t, new ReadOnlySpan<float>(row, cols));
        }
    }

    private sealed class BlockWork(ForwardPass pass, int block) : IParallelWork
    {
        public void Execute(int worker)
        {
            pass.Mlstm(worker, block);
            if (pass._capture is null or { Input: MatrixInput.NormFfn or MatrixInput.SwiGlu })
            {
                pass.Ffn(worker, block);
            }
        }
    }
}
