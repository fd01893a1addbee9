using System.Runtime.InteropServices;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cuda;

// The kernels' parameters, field by field as in Kernels/*.cu and *.cuh, where they are explained. Addresses are the device's.

/// <summary>CellItem of cell.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CellItem
{
    public ulong State;
    public int FirstRow;
    public int Tokens;
}

/// <summary>CellCommit of cell.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CellCommit
{
    public ulong Items;
    public ulong NewN;
    public ulong NewM;
    public long NOffset;
    public int Count;
    public int Heads;
    public int Dqk;
    private readonly int _padding;

    /// <summary>What the sizes of a model say of one of its blocks; addresses and the count are to be added.</summary>
    public static CellCommit For(XlstmConfig config, CudaStateLayout states, int block) =>
        new() { NOffset = states.VectorFloats(block), Heads = config.NumHeads, Dqk = config.QkHeadDim };
}

/// <summary>NextWeights of step.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NextWeights
{
    public ulong Address;
    public long Bytes;
    public int Halves;
    public int Share;
}

/// <summary>MatVecArgs of step.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MatVecArguments
{
    public ulong Weights;
    public ulong Bias;
    public ulong X;
    public ulong Gate;
    public ulong Norm;
    public ulong NormBias;
    public ulong Out;
    public ulong GateWeights;
    public ulong GateBias;
    public ulong GateOut;
    public CellCommit Commit;
    public NextWeights Next;
    public int Rows;
    public int Cols;
    public int Width;
    public int Heads;
    public int GateRows;
    public float Eps;
    public float Cap;
    private readonly int _padding;
}

/// <summary>StreamArgs of stream_hopper.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct StreamArguments
{
    public MatVecArguments Product;
    public int Stages;
    public int BlockRows;
}

/// <summary>CellStepArgs of cell_step.cu and CellRowsArgs of cell_rows.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CellArguments
{
    public ulong Items;
    public ulong Qkvo;
    public ulong Gates;
    public ulong H;
    public ulong NewN;
    public ulong NewM;
    public long BlockOffset;
    public int Stride;
    public int Heads;
    public int Dqk;
    public int Dv;
    public float GateCap;
    public float Eps;

    /// <summary>What the sizes of a model say of one of its blocks; addresses are to be added.</summary>
    public static CellArguments For(XlstmConfig config, CudaStateLayout states, int block, CudaBlockWeights weights) => new()
    {
        BlockOffset = states.BlockFloats(block),
        Stride = weights.Qkvo.Rows,
        Heads = config.NumHeads,
        Dqk = config.QkHeadDim,
        Dv = config.VHeadDim,
        GateCap = config.GateSoftCap ?? 0,
        Eps = config.Eps,
    };
}

/// <summary>CellStreamArgs of cell_hopper.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CellStreamArguments
{
    public ulong Items;
    public ulong Qkvo;
    public ulong Gates;
    public ulong Sums;
    public ulong Arrived;
    public ulong Norm;
    public ulong NormBias;
    public ulong Out;
    public long BlockOffset;
    public int Stride;
    public int Heads;
    public int Dqk;
    public int Dv;
    public int PartRows;
    public int Tokens;
    public int Cols;
    public float GateCap;
    public float Eps;
    public float NormEps;
}

/// <summary>CellChunksArgs of cell_chunks.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CellChunksArguments
{
    public ulong Items;
    public ulong Qkvo;
    public ulong Gates;
    public ulong H;
    public ulong NewN;
    public ulong NewM;
    public ulong Scores;
    public ulong Scalars;
    public ulong FirstChunk;
    public long BlockOffset;
    public int Stride;
    public int Heads;
    public int Dqk;
    public int Dv;
    public float GateCap;
    public float Eps;
}

/// <summary>MatMulArgs of matmul.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MatMulArguments
{
    public ulong Input;
    public ulong Weights;
    public ulong Bias;
    public ulong Out;
    public int Tokens;
    public int Rows;
    public int Cols;
    public int Stride;
    public float Cap;
    private readonly int _padding;
}

/// <summary>WgmmaArgs of matmul_wgmma.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct WgmmaArguments
{
    public MatMulArguments Product;
    public ulong InputMap;
    public ulong WeightsMap;
}

/// <summary>FewArgs of matmul_few_wgmma.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FewArguments
{
    public MatMulArguments Product;
    public ulong InputMap;
    public ulong WeightsMap;
    public int Stages;
    private readonly int _padding;
}

/// <summary>EmbedArgs of rows.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct EmbedArguments
{
    public ulong Embeddings;
    public ulong Ids;
    public ulong X;
    public int Cols;
    public int Width;
}

/// <summary>NormRowsArgs of rows.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NormRowsArguments
{
    public ulong X;
    public ulong RowOf;
    public ulong Norm;
    public ulong NormBias;
    public ulong Out;
    public ulong GateWeights;
    public ulong GateBias;
    public ulong GateOut;
    public int Rows;
    public int Width;
    public int Cols;
    public int GateRows;
    public float Eps;
    private readonly int _padding;
}

/// <summary>HeadRowsArgs of rows.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct HeadRowsArguments
{
    public ulong H;
    public ulong Gate;
    public ulong Norm;
    public ulong NormBias;
    public ulong Out;
    public CellCommit Commit;
    public int Width;
    public int Cols;
    public int GateStride;
    public int Heads;
    public float Eps;
    private readonly int _padding;
}

/// <summary>ShortlistItem of shortlist.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ShortlistItem
{
    public ulong Forbidden;
    public ulong Kept;
    public ulong Best;
    public int Row;
    public int Wanted;
}

/// <summary>ShortlistArgs of shortlist.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ShortlistArguments
{
    public ulong Logits;
    public ulong Items;
    public int VocabSize;
    private readonly int _padding;
}

/// <summary>ConvertArgs of convert.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ConvertArguments
{
    public ulong Source;
    public ulong Out;
    public ulong FirstBad;
    public ulong Base;
    public long FirstRow;
    public int RowStep;
    public int Rows;
    public int Cols;
    public int Stride;
    public int SourceType;
    private readonly int _padding;

    /// <summary>The source type of a packed file's panels of float32 or bfloat16.</summary>
    public static int PanelsOf(WeightFormat format) => format == WeightFormat.Float32 ? 3 : 4;
}

/// <summary>DequantizeArgs of convert.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct DequantizeArguments
{
    public ulong Panels;
    public ulong Out;
    public int FirstRow;
    public int RowStep;
    public int Rows;
    public int Cols;
}

/// <summary>PanelParts of quantized.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct PanelParts
{
    public int End0;
    public int End1;
    public int End2;
    public int End3;
    public int FirstRow0;
    public int FirstRow1;
    public int FirstRow2;
    public int FirstRow3;
    public int Rows;

    public PanelParts(CudaParts parts)
    {
        End0 = PackedMatrix.PanelCount(parts.First);
        End1 = End0 + PackedMatrix.PanelCount(parts.Second);
        End2 = End1 + PackedMatrix.PanelCount(parts.Third);
        End3 = End2 + PackedMatrix.PanelCount(parts.Fourth);
        FirstRow1 = parts.First;
        FirstRow2 = FirstRow1 + parts.Second;
        FirstRow3 = FirstRow2 + parts.Third;
        Rows = parts.Rows;
    }
}

/// <summary>QuantizedArgs of quantized.cuh.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct QuantizedArguments
{
    public MatVecArguments Product;
    public PanelParts Parts;
    public int Stages;
    public int BlockPanels;
    private readonly int _padding;
}

/// <summary>QuantizeRowsArgs of matmul_few_quantized.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct QuantizeRowsArguments
{
    public ulong Input;
    public ulong Bytes;
    public ulong Scales;
    public int Cols;
    public int PaddedTokens;
}

/// <summary>FewArgs of matmul_few_quantized.cu.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FewQuantizedArguments
{
    public ulong Weights;
    public ulong Bias;
    public ulong Input;
    public ulong Scales;
    public ulong Out;
    public PanelParts Parts;
    public int Tokens;
    public int PaddedTokens;
    public int Cols;
    public int Stride;
    public int Kind;
    public float Cap;
    private readonly int _padding;
}
