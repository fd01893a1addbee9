using System.Buffers;
using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints;

namespace Xlstm.Backends.Cuda;

/// <summary>A state in the memory of one GPU or several, each with the blocks whose weights it has. It is laid out as <see cref="CudaStateLayout"/> says.</summary>
internal sealed unsafe class CudaState : RecurrentState
{
    private readonly CudaBackend _backend;
    private readonly CudaStateLayout _layout;
    private readonly CudaStatePart[] _parts;

    /// <param name="backend">Whose turns it takes.</param>
    /// <param name="config">The model's sizes.</param>
    /// <param name="layout">How it lies in memory.</param>
    /// <param name="parts">Together all blocks, in order; owned from here on.</param>
    public CudaState(CudaBackend backend, XlstmConfig config, CudaStateLayout layout, CudaStatePart[] parts)
        : base(config)
    {
        (_backend, _layout, _parts) = (backend, layout, parts);
        Reset();
    }

    /// <inheritdoc/>
    public override long ByteLength => _parts.Sum(part => part.Memory.ByteLength);

    /// <summary>Of the first block of a part, as its GPU knows it.</summary>
    public ulong Address(int part) => _parts[part].Memory.Address;

    /// <summary>Of the logits after the last token, float32 [V], as the GPU with the last part knows it.</summary>
    public ulong Logits => _parts[^1].Memory.Address + (ulong)(_parts[^1].BlockCount * _layout.BlockBytes);

    /// <inheritdoc/>
    public override void Reset() => _backend.Exclusively(() =>
    {
        foreach (CudaStatePart part in _parts)
        {
            part.Run(stream => stream.Fill(part.Memory.Address, 0, part.Memory.ByteLength));
        }
    });

    /// <inheritdoc/>
    public override void CopyBlockTo(int block, Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(destination.Length, _layout.MatrixCount + _layout.VectorCount, nameof(destination));
        Span<float> matrix = destination[..(int)_layout.MatrixCount], vectors = destination[matrix.Length..];
        if (_layout.Format == StateFormat.Float32)
        {
            fixed (float* c = matrix, nm = vectors)
            {
                Download(block, c, nm);
            }

            return;
        }

        byte[] rounded = ArrayPool<byte>.Shared.Rent((int)_layout.MatrixBytes);
        fixed (byte* c = rounded)
        {
            fixed (float* nm = vectors)
            {
                Download(block, c, nm);
            }
        }

        ElementConversion.ToFloat32(rounded.AsSpan(0, (int)_layout.MatrixBytes), ElementType.BFloat16, matrix);
        ArrayPool<byte>.Shared.Return(rounded);
    }

    /// <inheritdoc/>
    public override void CopyBlockFrom(int block, ReadOnlySpan<float> source)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(source.Length, _layout.MatrixCount + _layout.VectorCount, nameof(source));
        ReadOnlySpan<float> matrix = source[..(int)_layout.MatrixCount], vectors = source[matrix.Length..];
        if (_layout.Format == StateFormat.Float32)
        {
            fixed (float* c = matrix, nm = vectors)
            {
                Upload(block, c, nm);
            }

            return;
        }

        byte[] rounded = ArrayPool<byte>.Shared.Rent((int)_layout.MatrixBytes);
        ElementConversion.FromFloat32(matrix, ElementType.BFloat16, rounded.AsSpan(0, (int)_layout.MatrixBytes));
        fixed (byte* c = rounded)
        {
            fixed (float* nm = vectors)
            {
                Upload(block, c, nm);
            }
        }

        ArrayPool<byte>.Shared.Return(rounded);
    }

    /// <inheritdoc/>
    public override void CopyFrom(RecurrentState source) => _backend.Exclusively(() =>
    {
        var other = (CudaState)source;
        for (int i = 0; i < _parts.Length; i++)
        {
            DeviceBuffer from = other._parts[i].Memory, to = _parts[i].Memory;
            _parts[i].Run(stream => stream.Copy(to.Address, from.Address, to.ByteLength));
        }
    });

    /// <inheritdoc/>
    public override void CopyLogitsTo(Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(destination.Length, Config.VocabSize, nameof(destination));
        fixed (float* pointer = destination)
        {
            nint target = (nint)pointer;
            _backend.Exclusively(() => _parts[^1].Run(stream => stream.Download((void*)target, Logits, _layout.LogitBytes)));
        }
    }

    /// <inheritdoc/>
    public override void Dispose() => Array.ForEach(_parts, part => part.Dispose());

    private void Download(int block, void* matrix, void* vectors)
    {
        (CudaStatePart part, ulong address) = Find(block);
        nint c = (nint)matrix, nm = (nint)vectors;
        _backend.Exclusively(() => part.Run(stream =>
        {
            stream.Download((void*)c, address, _layout.MatrixBytes);
            stream.Download((void*)nm, address + (ulong)_layout.VectorOffset, _layout.VectorBytes);
        }));
    }

    private void Upload(int block, void* matrix, void* vectors)
    {
        (CudaStatePart part, ulong address) = Find(block);
        nint c = (nint)matrix, nm = (nint)vectors;
        _backend.Exclusively(() => part.Run(stream =>
        {
            stream.Upload(address, (void*)c, _layout.MatrixBytes);
            stream.Upload(address + (ulong)_layout.VectorOffset, (void*)nm, _layout.VectorBytes);
        }));
    }

    private (CudaStatePart Part, ulong Address) Find(int block)
    {
        CudaStatePart part = Array.Find(_parts, part => part.Holds(block)) ?? throw new ArgumentOutOfRangeException(nameof(block));
        return (part, part.Memory.Address + (ulong)((block - part.FirstBlock) * _layout.BlockBytes));
    }
}
