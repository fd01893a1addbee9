namespace Xlstm.Backends.Cpu;

/// <summary>
/// A weight matrix [rows, cols] in panels of 16 rows, ready for the kernels. Within a panel the rows are interleaved, so that
/// one vector load takes the same columns of 16 rows: vector lanes run along rows and every row's sum over its columns is
/// sequential, whatever the width of the machine's vectors. Rows past the last are zero.
/// <list type="bullet">
/// <item>float32: <c>panel[col][row]</c>, 64 bytes a column.</item>
/// <item>bfloat16: <c>panel[col / 2][row][col % 2]</c>, 64 bytes a pair of columns; an odd last column is paired with zeros.</item>
/// </list>
/// </summary>
internal readonly unsafe struct PackedMatrix(byte* data, int rows, int cols, WeightFormat format)
{
    /// <summary>Rows of a panel: lanes of a 512-bit vector of float32.</summary>
    public const int PanelRows = 16;

    /// <summary>The first panel.</summary>
    public byte* Data { get; } = data;

    /// <summary>Rows: outputs.</summary>
    public int Rows { get; } = rows;

    /// <summary>Columns: inputs.</summary>
    public int Cols { get; } = cols;

    /// <summary>How the weights are held.</summary>
    public WeightFormat Format { get; } = format;

    /// <summary>Panels, the last one perhaps partly zero.</summary>
    public int Panels => PanelCount(Rows);

    /// <summary>Bytes from one panel to the next.</summary>
    public long PanelBytes => PanelByteLength(Cols, Format);

    /// <summary>Panels that hold this many rows.</summary>
    public static int PanelCount(int rows) => (rows + PanelRows - 1) / PanelRows;

    /// <summary>Bytes of one panel.</summary>
    public static long PanelByteLength(int cols, WeightFormat format) => format switch
    {
        WeightFormat.Float32 => 64L * cols,
        WeightFormat.BFloat16 => 64L * ((cols + 1) / 2),
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, null),
    };

    /// <summary>Bytes of a whole matrix.</summary>
    public static long ByteLength(int rows, int cols, WeightFormat format) => PanelCount(rows) * PanelByteLength(cols, format);

    /// <summary>Packs one row of float32 values into its panel.</summary>
    /// <param name="row">Row, in [0, rows); rows up to the end of the last panel may be set too (to zero).</param>
    /// <param name="values">float32 [cols].</param>
    public void SetRow(int row, ReadOnlySpan<float> values)
    {
        byte* panel = Data + (row / PanelRows * PanelBytes);
        int lane = row % PanelRows;
        if (Format == WeightFormat.Float32)
        {
            float* destination = (float*)panel + lane;
            foreach (float value in values)
            {
                *destination = value;
                destination += PanelRows;
            }
        }
        else
        {
            uint* destination = (uint*)panel + lane;
            int pairs = values.Length / 2;
            for (int pair = 0; pair < pairs; pair++)
            {
                *destination = BFloat16.Round(values[2 * pair]) | ((uint)BFloat16.Round(values[(2 * pair) + 1]) << 16);
                destination += PanelRows;
            }

            if (values.Length % 2 != 0)
            {
                *destination = BFloat16.Round(values[^1]);
            }
        }
    }

    /// <summary>Unpacks one row to float32: an embedding that shares its matrix with lm_head is read this way.</summary>
    /// <param name="row">Row, in [0, rows).</param>
    /// <param name="destination">float32 [cols].</param>
    public void GetRow(int row, Span<float> destination)
    {
        byte* panel = Data + (row / PanelRows * PanelBytes);
        int lane = row % PanelRows;
        for (int col = 0; col < destination.Length; col++)
        {
            destination[col] = Format == WeightFormat.Float32
                ? ((float*)panel)[(col * PanelRows) + lane]
                : BFloat16.Widen(((ushort*)panel)[(((col / 2 * PanelRows) + lane) * 2) + (col % 2)]);
        }
    }
}
