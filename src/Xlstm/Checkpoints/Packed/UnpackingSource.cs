using System.Runtime.InteropServices;
using Xlstm.Memory;

namespace Xlstm.Checkpoints.Packed;

/// <summary>Reads a packed tensor as the float32 values that it stands for, row by row: for other weight formats, other backends and curious people.</summary>
internal sealed unsafe class UnpackingSource(PackedTensor tensor, IWeightMemory memory) : ITensorSource
{
    /// <summary>The tensors of a packed file by role.</summary>
    /// <param name="layout">Where they lie.</param>
    /// <param name="memory">What holds them; must outlive the map.</param>
    public static TensorMap MapOf(PackedLayout layout, IWeightMemory memory)
    {
        var map = new TensorMap();
        foreach (PackedTensor tensor in layout.Tensors)
        {
            int size = tensor.IsVector ? tensor.Cols : tensor.Rows;
            TensorPart[] parts = tensor.Role == TensorRole.IGatePreact
                ? [new TensorPart(TensorRole.IGatePreact, size / 2), new TensorPart(TensorRole.FGatePreact, size / 2)]
                : [new TensorPart(tensor.Role, size)];
            var stored = new StoredTensor(tensor.Name, tensor.Block, tensor.IsBias, parts, tensor.IsVector ? 0 : tensor.Cols);
            map.Add(stored, shardIndex: 0, ElementType.Float32, new UnpackingSource(tensor, memory));
        }

        return map;
    }

    /// <inheritdoc/>
    public void Read(long offset, Span<byte> destination)
    {
        Span<float> values = MemoryMarshal.Cast<byte, float>(destination);
        if (tensor.IsVector)
        {
            new ReadOnlySpan<float>(tensor.Vector(memory.Pointer) + (offset / sizeof(float)), values.Length).CopyTo(values);
            return;
        }

        PackedMatrix matrix = tensor.Matrix(memory.Pointer);
        int row = (int)(offset / sizeof(float) / tensor.Cols);
        for (int first = 0; first < values.Length; first += tensor.Cols)
        {
            matrix.GetRow(row++, values.Slice(first, tensor.Cols));
        }
    }
}
