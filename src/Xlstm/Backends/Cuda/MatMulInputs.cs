using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>The inputs of products over many rows.</summary>
internal enum MatMulInput
{
    /// <summary>[T, D].</summary>
    Norm,

    /// <summary>[T, VD].</summary>
    Heads,

    /// <summary>[T, F].</summary>
    Ffn,

    /// <summary>Rows that logits are made of, [*, D].</summary>
    Logits,
}

/// <summary>Where the inputs of products lie in a workspace, and on compute capability 9.0 their descriptions for the copy engine.</summary>
internal sealed class MatMulInputs : IDisposable
{
    private const int Count = 4;

    private readonly ulong[] _addresses = new ulong[Count];
    private readonly TensorMaps? _maps;
    private readonly int _boxes;

    /// <param name="context">Where; current on the calling thread.</param>
    /// <param name="boxes">Rows of the boxes that an input is fetched in; none where no kernel needs descriptions.</param>
    /// <param name="stream">What takes the descriptions to the device.</param>
    /// <param name="inputs">By <see cref="MatMulInput"/>: address, rows, elements a row.</param>
    public MatMulInputs(CudaContext context, CudaStream stream, IReadOnlyList<int> boxes, params ReadOnlySpan<(ulong Address, int Rows, int Stride)> inputs)
    {
        _boxes = boxes.Count;
        _maps = boxes.Count > 0 ? new TensorMaps(context, Count * boxes.Count) : null;
        for (int i = 0; i < Count; i++)
        {
            _addresses[i] = inputs[i].Address;
            for (int box = 0; box < boxes.Count; box++)
            {
                _maps!.Describe((i * _boxes) + box, inputs[i].Address, inputs[i].Rows, inputs[i].Stride, boxes[box], FewRows.TileCols);
            }
        }

        _maps?.Upload(stream);
    }

    /// <summary>The first element of an input.</summary>
    public ulong this[MatMulInput input] => _addresses[(int)input];

    /// <summary>The description of an input in one of the boxes.</summary>
    public ulong Map(MatMulInput input, int box) => _maps![((int)input * _boxes) + box];

    /// <inheritdoc/>
    public void Dispose() => _maps?.Dispose();
}
