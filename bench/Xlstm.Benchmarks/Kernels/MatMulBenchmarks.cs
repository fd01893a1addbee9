using System.Globalization;
using BenchmarkDotNet.Attributes;
using Xlstm.Backends.Cpu;
using Xlstm.Backends.Cpu.Kernels;
using Xlstm.Checkpoints.Packed;
using Xlstm.Memory;

namespace Xlstm.Benchmarks.Kernels;

/// <summary>Products of weight panels with a tile of activations, on one thread: from cache, where arithmetic is the limit, and from DRAM, where reading is.</summary>
public unsafe class MatMulBenchmarks : IKernelBenchmark, IDisposable
{
    private const int Cols = 4096;
    private const long DramBytes = 2L << 30;
    private const long DramStepBytes = 32L << 20;

    // Sensible in every format: bfloat16 and float32 0.0115, bytes 60, nibbles 12 and 3.
    private const byte Filler = 0x3C;

    private NativeBuffer? _weights;
    private NativeBuffer? _tiles;
    private NativeBuffer? _result;
    private MatMulKernel? _kernel;
    private TileInputs _inputs;
    private long _next;

    /// <summary>The instruction sets of this machine.</summary>
    public static IEnumerable<string> Sets => Enum.GetValues<CpuInstructionSet>().Where(CpuInstructionSets.IsSupported).Select(set => set.ToString());

    /// <summary>The kernel's instruction set.</summary>
    [ParamsSource(nameof(Sets))]
    public string Set { get; set; } = "";

    /// <summary>How weights are held.</summary>
    [Params(WeightFormat.Float32, WeightFormat.BFloat16, WeightFormat.Int8, WeightFormat.Int4)]
    public WeightFormat Format { get; set; }

    /// <summary>Tokens that share a read of the weights, and where these are: two or four panels that a cache holds, or 2 GiB.</summary>
    [Params("1 from DRAM", "1 from cache", "4 from cache", "12 from cache")]
    public string Tokens { get; set; } = "";

    private int Width => int.Parse(Tokens.AsSpan(0, Tokens.IndexOf(' ')), CultureInfo.InvariantCulture);

    private bool FromDram => Tokens.EndsWith("DRAM", StringComparison.Ordinal);

    private int PanelsPerCall => Width == ActivationTiles.Wide ? MatMulKernel.WidePanels : MatMulKernel.GroupPanels;

    private long CallBytes => PanelsPerCall * PackedMatrix.PanelByteLength(Cols, Format);

    private int Calls => FromDram ? (int)(DramStepBytes / CallBytes) : 1;

    /// <summary>Makes weights and activations.</summary>
    [GlobalSetup]
    public void SetUp()
    {
        _kernel = MatMulKernel.For(Enum.Parse<CpuInstructionSet>(Set));
        _weights = new NativeBuffer(FromDram ? DramBytes : CallBytes, zeroed: false);
        for (long i = 0; i < _weights.ByteLength; i += 1 << 20)
        {
            new Span<byte>(_weights.Pointer + i, (int)Math.Min(1 << 20, _weights.ByteLength - i)).Fill(Filler);
        }

        Encodings encodings = _kernel.EncodingOf(Format);
        _tiles = new NativeBuffer(ActivationTiles.PaddedCount(Width) * TileInputs.TokenBytes(Cols, encodings));
        _result = new NativeBuffer(sizeof(float) * PackedMatrix.PanelRows * MatMulKernel.GroupPanels * ActivationTiles.Wide);
        _inputs = TileInputs.Lay(_tiles.Pointer, ActivationTiles.PaddedCount(Width), Cols, encodings);
        var random = new Random(1);
        float[] row = new float[Cols];
        for (int token = 0; token < Width; token++)
        {
            foreach (ref float value in row.AsSpan())
            {
                value = (2 * random.NextSingle()) - 1;
            }

            fixed (float* pointer = row)
            {
                _inputs.SetRow(new ActivationTiles(Width), token, pointer, Cols);
            }
        }
    }

    /// <summary>The panels of a call from cache; 32 MiB of panels from DRAM, going round the 2 GiB.</summary>
    [Benchmark]
    public void Multiply()
    {
        long panelBytes = PackedMatrix.PanelByteLength(Cols, Format);
        float* result = (float*)_result!.Pointer;
        int width = Width;
        Encodings encoding = _kernel!.EncodingOf(Format);
        for (int call = Calls; call > 0; call--)
        {
            byte* first = _weights!.Pointer + _next;
            var panels = new PanelGroup { P0 = first, P1 = first + panelBytes, P2 = first + (2 * panelBytes), P3 = first + (3 * panelBytes) };
            switch (Format)
            {
                case WeightFormat.Float32:
                    _kernel.Float32(panels, Cols, _inputs.Float32, width, result);
                    break;
                case WeightFormat.BFloat16:
                    _kernel.BFloat16(panels, Cols, _inputs.Float32, width, result);
                    break;
                case WeightFormat.Int8:
                    _kernel.Int8(panels, PackedMatrix.GroupCount(Cols), _inputs.Tile(encoding, 0, Cols), width, result);
                    break;
                default:
                    _kernel.Int4(panels, PackedMatrix.GroupCount(Cols), _inputs.Tile(encoding, 0, Cols), width, result);
                    break;
            }

            _next = _next + (2 * CallBytes) <= _weights.ByteLength ? _next + CallBytes : 0;
        }
    }

    /// <summary>Frees what <see cref="SetUp"/> made.</summary>
    [GlobalCleanup]
    public void Dispose()
    {
        _weights?.Dispose();
        _tiles?.Dispose();
        _result?.Dispose();
        GC.SuppressFinalize(this);
    }

    Work IKernelBenchmark.WorkOf(string method) => new((double)Calls * PanelsPerCall * PackedMatrix.PanelRows * Cols * Width, (double)Calls * CallBytes);
}
