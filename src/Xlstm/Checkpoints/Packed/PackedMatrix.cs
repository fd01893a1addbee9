using System.Buffers;

namespace Xlstm.Checkpoints.Packed;

/// <summary>
/// A weight matrix [rows, cols] in panels of 16 rows, ready for the kernels. Within a panel the rows are interleaved, so that
/// one vector load takes the same columns of 16 rows: vector lanes run along rows and every row's sum over its columns is
/// sequential, whatever the width of the machine's vectors. Rows past the last are zero. docs/packed-format.md has the bytes.
/// <list type="bullet">
/// <item>float32: <c>panel[col][row]</c>, 64 bytes a column.</item>
/// <item>bfloat16: <c>panel[col / 2][row][col % 2]</c>, 64 bytes a pair of columns; an odd last column is paired with zeros.</item>
/// <item>int8: groups of 32 columns, in pairs: 64 bytes of scales <c>[2][row]</c> bfloat16, then each group's weights <c>[8][row][4]</c>.
/// Columns are padded with zeros to a multiple of 64.</item>
/// <item>int4: <c>[row]</c> float32 d, <c>[row]</c> float32 dm; then as int8, but each group has 16 bytes of scales and 16 of minima, and
/// its weights <c>[4][row][4]</c> hold columns 8 s + 0 .. 3 in the low nibbles and 8 s + 4 .. 7 in the high ones: weight = d scale q - dm minimum.</item>
/// </list>
/// </summary>
internal readonly unsafe struct PackedMatrix(byte* data, int rows, int cols, WeightFormat format)
{
    /// <summary>Rows of a panel: lanes of a 512-bit vector of float32.</summary>
    public const int PanelRows = 16;

    /// <summary>Columns that share a scale.</summary>
    public const int GroupSize = 32;

    /// <summary>Bytes of the scales of a pair of groups.</summary>
    public const int ScaleLine = 64;

    /// <summary>Bytes of a group's weights, 16 rows.</summary>
    public const int Int8GroupBytes = PanelRows * GroupSize;

    /// <summary>Bytes of a group's weights, 16 rows.</summary>
    public const int Int4GroupBytes = PanelRows * GroupSize / 2;

    /// <summary>Bytes of d and dm at the front of an int4 panel.</summary>
    public const int Int4RowBytes = 2 * PanelRows * sizeof(float);

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

    /// <summary>Groups of a quantized row of this many columns: an even number.</summary>
    public static int GroupCount(int cols) => (cols + (2 * GroupSize) - 1) / (2 * GroupSize) * 2;

    /// <summary>Bytes of one panel.</summary>
    public static long PanelByteLength(int cols, WeightFormat format) => format switch
    {
        WeightFormat.Float32 => 64L * cols,
        WeightFormat.BFloat16 => 64L * ((cols + 1) / 2),
        WeightFormat.Int8 => GroupCount(cols) / 2 * (ScaleLine + (2L * Int8GroupBytes)),
        WeightFormat.Int4 => Int4RowBytes + (GroupCount(cols) / 2 * (ScaleLine + (2L * Int4GroupBytes))),
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
        switch (Format)
        {
            case WeightFormat.Float32:
                SetFloat32(panel, lane, values);
                break;
            case WeightFormat.BFloat16:
                SetBFloat16(panel, lane, values);
                break;
            case WeightFormat.Int8:
                SetInt8(panel, lane, values);
                break;
            default:
                SetInt4(panel, lane, values);
                break;
        }
    }

    /// <summary>Lays a row that is rounded already into its panel; the matrix is int4.</summary>
    /// <param name="row">Row, in [0, rows).</param>
    /// <param name="rounded">As many columns as the matrix has.</param>
    public void SetRow(int row, in Int4Row rounded) => SetInt4(Data + (row / PanelRows * PanelBytes), row % PanelRows, rounded);

    /// <summary>Fills the last panel's rows past the matrix with zeros.</summary>
    public void ClearPadding()
    {
        float[] zeros = new float[Cols];
        for (int row = Rows; row % PanelRows != 0; row++)
        {
            SetRow(row, zeros);
        }
    }

    /// <summary>Unpacks one row to float32, as the kernels see it. Embeddings are read this way.</summary>
    /// <param name="row">Row, in [0, rows).</param>
    /// <param name="destination">float32 [cols].</param>
    public void GetRow(int row, Span<float> destination)
    {
        byte* panel = Data + (row / PanelRows * PanelBytes);
        int lane = row % PanelRows;
        for (int col = 0; col < destination.Length; col++)
        {
            destination[col] = Format switch
            {
                WeightFormat.Float32 => ((float*)panel)[(col * PanelRows) + lane],
                WeightFormat.BFloat16 => BFloat16.Widen(((ushort*)panel)[(((col / 2 * PanelRows) + lane) * 2) + (col % 2)]),
                WeightFormat.Int8 => GetInt8(panel, lane, col),
                _ => GetInt4(panel, lane, col),
            };
        }
    }

    private static void SetFloat32(byte* panel, int lane, ReadOnlySpan<float> values)
    {
        float* destination = (float*)panel + lane;
        foreach (float value in values)
        {
            *destination = value;
            destination += PanelRows;
        }
    }

    private static void SetBFloat16(byte* panel, int lane, ReadOnlySpan<float> values)
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

    private static void SetInt8(byte* panel, int lane, ReadOnlySpan<float> values)
    {
        sbyte* q = stackalloc sbyte[GroupSize];
        int groups = GroupCount(values.Length);
        for (int group = 0; group < groups; group++)
        {
            *Int8Scale(panel, lane, group) = GroupQuantizer.Int8(Group(values, group), q);
            for (int quad = 0; quad < GroupSize / 4; quad++)
            {
                *(int*)Int8Weights(panel, lane, group, quad) = *(int*)(q + (4 * quad));
            }
        }
    }

    private static void SetInt4(byte* panel, int lane, ReadOnlySpan<float> values)
    {
        byte[] memory = ArrayPool<byte>.Shared.Rent(Int4Row.ByteLength(values.Length));
        fixed (byte* pointer = memory)
        {
            var row = new Int4Row(pointer, values.Length);
            row.Round(values);
            SetInt4(panel, lane, row);
        }

        ArrayPool<byte>.Shared.Return(memory);
    }

    private static void SetInt4(byte* panel, int lane, in Int4Row row)
    {
        ((float*)panel)[lane] = row.ScaleUnit;
        ((float*)panel)[PanelRows + lane] = row.MinimumUnit;
        for (int group = 0; group < row.Groups; group++)
        {
            byte* line = Int4Scales(panel, group);
            line[lane] = row.Scales[group];
            line[PanelRows + lane] = row.Minima[group];
            byte* q = row.Q + (group * GroupSize);
            for (int step = 0; step < GroupSize / 8; step++)
            {
                // Four low nibbles and four high ones at once.
                *(uint*)Int4Weights(panel, lane, group, step) = *(uint*)(q + (8 * step)) | (*(uint*)(q + (8 * step) + 4) << 4);
            }
        }
    }

    private static float GetInt8(byte* panel, int lane, int col)
    {
        int group = col / GroupSize, k = col % GroupSize;
        return BFloat16.Widen(*Int8Scale(panel, lane, group)) * ((sbyte*)Int8Weights(panel, lane, group, k / 4))[k % 4];
    }

    private static float GetInt4(byte* panel, int lane, int col)
    {
        int group = col / GroupSize, k = col % GroupSize;
        byte* scales = Int4Scales(panel, group);
        int pair = Int4Weights(panel, lane, group, k / 8)[k % 4];
        float q = k % 8 < 4 ? pair & 0x0F : pair >> 4;
        return (((float*)panel)[lane] * scales[lane] * q) - (((float*)panel)[PanelRows + lane] * scales[PanelRows + lane]);
    }

    private static ReadOnlySpan<float> Group(ReadOnlySpan<float> values, int group)
    {
        int first = Math.Min(group * GroupSize, values.Length);
        return values.Slice(first, Math.Min(GroupSize, values.Length - first));
    }

    private static byte* Int8Pair(byte* panel, int group) => panel + (group / 2 * (ScaleLine + (2L * Int8GroupBytes)));

    private static ushort* Int8Scale(byte* panel, int lane, int group) => (ushort*)Int8Pair(panel, group) + (group % 2 * PanelRows) + lane;

    private static byte* Int8Weights(byte* panel, int lane, int group, int quad) =>
        Int8Pair(panel, group) + ScaleLine + (group % 2 * Int8GroupBytes) + (((quad * PanelRows) + lane) * 4);

    private static byte* Int4Pair(byte* panel, int group) => panel + Int4RowBytes + (group / 2 * (ScaleLine + (2L * Int4GroupBytes)));

    private static byte* Int4Scales(byte* panel, int group) => Int4Pair(panel, group) + (group % 2 * 2 * PanelRows);

    private static byte* Int4Weights(byte* panel, int lane, int group, int step) =>
        Int4Pair(panel, group) + ScaleLine + (group % 2 * Int4GroupBytes) + (((step * PanelRows) + lane) * 4);
}
