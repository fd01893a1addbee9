using Xlstm.Memory;

namespace Xlstm.Backends.Cpu;

/// <summary>A state in the machine's memory, in the layout of <see cref="RecurrentState"/>.</summary>
internal sealed unsafe class CpuState : RecurrentState
{
    private readonly NativeBuffer _buffer;
    private readonly int _heads;
    private readonly int _dqk;
    private readonly int _dv;
    private readonly long _blockFloats;

    public CpuState(XlstmConfig config)
        : base(config)
    {
        _heads = config.NumHeads;
        _dqk = config.QkHeadDim;
        _dv = config.VHeadDim;
        _blockFloats = BlockFloatCount(config);
        Length = checked((int)FloatCount(config));
        _buffer = new NativeBuffer(sizeof(float) * (long)Length);
    }

    /// <inheritdoc/>
    public override long ByteLength => sizeof(float) * (long)Length;

    private int Length { get; }

    private Span<float> All => new(_buffer.Pointer, Length);

    /// <summary>C of one head, [dqk, dv].</summary>
    public float* C(int block, int head) => Block(block) + ((long)head * _dqk * _dv);

    /// <summary>n of one head, [dqk].</summary>
    public float* N(int block, int head) => Block(block) + ((long)_heads * _dqk * _dv) + ((long)head * _dqk);

    /// <summary>m of one head.</summary>
    public float* M(int block, int head) => Block(block) + ((long)_heads * _dqk * (_dv + 1)) + head;

    /// <inheritdoc/>
    public override void Reset() => All.Clear();

    /// <inheritdoc/>
    public override void CopyBlockTo(int block, Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(destination.Length, _blockFloats, nameof(destination));
        new ReadOnlySpan<float>(Block(block), destination.Length).CopyTo(destination);
    }

    /// <inheritdoc/>
    public override void CopyBlockFrom(int block, ReadOnlySpan<float> source)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(source.Length, _blockFloats, nameof(source));
        source.CopyTo(new Span<float>(Block(block), source.Length));
    }

    /// <inheritdoc/>
    public override void CopyFrom(RecurrentState source) => ((CpuState)source).All.CopyTo(All);

    /// <inheritdoc/>
    public override void Dispose() => _buffer.Dispose();

    private float* Block(int block) => (float*)_buffer.Pointer + (block * _blockFloats);
}
