using Xlstm.Backends.Cuda.Interop;
using Xlstm.Checkpoints.Packed;

namespace Xlstm.Backends.Cuda;

/// <summary>Rows of the matrices that stand one under the other in one; 0 where there are fewer than four.</summary>
internal readonly record struct CudaParts(int First, int Second = 0, int Third = 0, int Fourth = 0)
{
    /// <summary>Rows in all.</summary>
    public int Rows => First + Second + Third + Fourth;

    /// <summary>Panels in all: each part starts with one of its own.</summary>
    public int Panels => PackedMatrix.PanelCount(First) + PackedMatrix.PanelCount(Second) + PackedMatrix.PanelCount(Third) + PackedMatrix.PanelCount(Fourth);
}

/// <summary>
/// A matrix on the device. float32 and bfloat16 are row-major, rows padded with zeros to <see cref="Stride"/> columns; int8 and int4 are
/// panels as in a packed file, part after part.
/// </summary>
/// <param name="Address">Of the first element.</param>
/// <param name="Format">How it is held.</param>
/// <param name="Parts">The rows of each of its parts.</param>
/// <param name="Cols">Columns that count.</param>
/// <param name="Bias">float32 [Rows], or 0.</param>
internal readonly record struct CudaMatrix(ulong Address, WeightFormat Format, CudaParts Parts, int Cols, ulong Bias = 0)
{
    /// <summary>Columns are padded to a multiple of this: whole tiles, whole 16-byte vectors, whole pairs of groups.</summary>
    private const int Padding = 2 * PackedMatrix.GroupSize;

    /// <summary>Rows: outputs.</summary>
    public int Rows => Parts.Rows;

    /// <summary>Whether it is in panels.</summary>
    public bool IsQuantized => Format is WeightFormat.Int8 or WeightFormat.Int4;

    /// <summary>Elements from one row to the next.</summary>
    public int Stride => Pad(Cols);

    /// <summary>Bytes from one panel of a quantized matrix to the next.</summary>
    public long PanelBytes => PackedMatrix.PanelByteLength(Cols, Format);

    /// <summary>Bytes, without the bias.</summary>
    public long ByteLength => IsQuantized ? Parts.Panels * PanelBytes : (long)Rows * Stride * (Format == WeightFormat.Float32 ? sizeof(float) : sizeof(ushort));

    /// <summary>Columns of a row as stored, and of the input it is multiplied by.</summary>
    public static int Pad(int cols) => (cols + Padding - 1) / Padding * Padding;
}

/// <summary>A norm's weight and bias on the device, float32; the bias may be 0, and the weight too where there is no norm.</summary>
internal readonly record struct CudaNorm(ulong Weight, ulong Bias);

/// <summary>The weights of one block. What is multiplied by the same input is one matrix.</summary>
internal sealed class CudaBlockWeights
{
    public required CudaNorm NormMlstm { get; init; }

    /// <summary>q | k | v | ogate_preact, [2 QK + 2 VD, D].</summary>
    public required CudaMatrix Qkvo { get; init; }

    /// <summary>igate_preact | fgate_preact, float32 [2 H, D].</summary>
    public required CudaMatrix Gates { get; init; }

    public required CudaNorm MultiheadNorm { get; init; }

    public required CudaMatrix OutProj { get; init; }

    public required CudaNorm NormFfn { get; init; }

    /// <summary>
    /// proj_up_gate and proj_up, [2 F, D]. float32 and bfloat16: row by row in turn, so that gate and up of a unit meet in one warp.
    /// int8 and int4: one after the other. Biases in turn.
    /// </summary>
    public required CudaMatrix GateUp { get; init; }

    public required CudaMatrix ProjDown { get; init; }
}

/// <summary>The weights of a stage in one piece of device memory.</summary>
internal sealed class CudaWeights : IDisposable
{
    /// <summary>How the matrices are held.</summary>
    public required WeightRecipe Recipe { get; init; }

    /// <summary>The format asked for.</summary>
    public WeightFormat Format => Recipe.Format;

    /// <summary>What holds them all; null while they are only measured.</summary>
    public DeviceBuffer? Memory { get; init; }

    /// <summary>[V, D]; without an address where the stage has none.</summary>
    public required CudaMatrix Embeddings { get; init; }

    /// <summary>The stage's own blocks.</summary>
    public required CudaBlockWeights[] Blocks { get; init; }

    /// <summary>Of the stage that makes logits, if the model has it.</summary>
    public required CudaNorm OutNorm { get; init; }

    /// <summary>[V, D]; the embeddings where they are tied and here; without an address where the stage makes no logits.</summary>
    public required CudaMatrix LmHead { get; init; }

    /// <summary>Bytes an element of an input of products over many rows.</summary>
    public int ElementSize => ElementSizeOf(Format);

    /// <summary>The same for a format of weights: float32 for float32, else bfloat16.</summary>
    public static int ElementSizeOf(WeightFormat format) => format == WeightFormat.Float32 ? sizeof(float) : sizeof(ushort);

    /// <inheritdoc/>
    public void Dispose() => Memory?.Dispose();
}
