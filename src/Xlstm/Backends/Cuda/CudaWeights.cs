using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>A matrix on the device, row-major; rows are padded with zeros to <see cref="Stride"/> columns.</summary>
/// <param name="Address">Of the first element.</param>
/// <param name="Rows">Rows.</param>
/// <param name="Cols">Columns that count.</param>
/// <param name="Bias">float32 [Rows], or 0.</param>
internal readonly record struct CudaMatrix(ulong Address, int Rows, int Cols, ulong Bias = 0)
{
    /// <summary>Columns are padded to a multiple of this: whole tiles, whole 16-byte vectors.</summary>
    private const int Padding = 64;

    /// <summary>Elements from one row to the next.</summary>
    public int Stride => Pad(Cols);

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

    /// <summary>proj_up_gate and proj_up, row by row in turn, [2 F, D]: so gate and up of a unit meet in one warp.</summary>
    public required CudaMatrix GateUp { get; init; }

    public required CudaMatrix ProjDown { get; init; }
}

/// <summary>The weights of a stage in one piece of device memory.</summary>
internal sealed class CudaWeights : IDisposable
{
    public required WeightFormat Format { get; init; }

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

    /// <summary>Bytes an element of a matrix.</summary>
    public int ElementSize => ElementSizeOf(Format);

    /// <summary>The same for a format.</summary>
    public static int ElementSizeOf(WeightFormat format) => format == WeightFormat.Float32 ? sizeof(float) : sizeof(ushort);

    /// <inheritdoc/>
    public void Dispose() => Memory?.Dispose();
}
