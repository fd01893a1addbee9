using System.Text;

namespace Xlstm.Backends.Cuda.Interop;

/// <summary>Kernels compiled by the driver for its device from PTX that is embedded in this assembly.</summary>
internal sealed unsafe class CudaModule : CudaHandle
{
    private const int InfoLogBuffer = 3;
    private const int InfoLogBytes = 4;
    private const int ErrorLogBuffer = 5;
    private const int ErrorLogBytes = 6;
    private const int LogVerbose = 12;
    private const int LogLength = 1 << 16;

    private readonly bool _startsEarly;

    /// <param name="context">Where; current on the calling thread.</param>
    /// <param name="name">Of the PTX: "step.sm_80".</param>
    /// <param name="startsEarly">Its kernels wait for the one before them themselves.</param>
    /// <exception cref="XlstmException">The driver refuses the PTX; the inner exception has its log.</exception>
    public CudaModule(CudaContext context, string name, bool startsEarly)
        : base(context)
    {
        _startsEarly = startsEarly;
        byte[] ptx = Read(name);
        byte[] info = new byte[LogLength], error = new byte[LogLength];
        fixed (byte* image = ptx, infoLog = info, errorLog = error)
        {
            int* options = stackalloc int[] { InfoLogBuffer, InfoLogBytes, ErrorLogBuffer, ErrorLogBytes, LogVerbose };
            void** values = stackalloc void*[] { infoLog, (void*)LogLength, errorLog, (void*)LogLength, (void*)1 };
            int result = CudaDriver.ModuleLoadData(out nint module, image, 5, options, values);
            Log = Text(info);
            if (result != 0)
            {
                string advice = result is CudaError.UnsupportedPtxVersion or CudaError.InvalidPtx ? "; a newer NVIDIA driver (520 or later) may help" : "";
                throw new XlstmException(
                    $"{context.Device.Name}: the driver cannot compile the kernels {name}: {CudaError.Describe(result)}{advice}", new XlstmException(Text(error)));
            }

            Own(module);
        }
    }

    /// <summary>What the driver's compiler says of registers and spills.</summary>
    public string Log { get; }

    /// <summary>One of its kernels.</summary>
    public CudaKernel Kernel(string name)
    {
        CudaError.Check(CudaDriver.ModuleGetFunction(out nint function, Value, name), $"finding kernel {name}");
        return new CudaKernel(name, function, _startsEarly);
    }

    /// <inheritdoc/>
    protected override int Free() => CudaDriver.ModuleUnload(handle);

    private static byte[] Read(string name)
    {
        using Stream stream = typeof(CudaModule).Assembly.GetManifestResourceStream(name + ".ptx") ?? throw new InvalidOperationException($"no resource {name}.ptx");
        byte[] text = new byte[stream.Length + 1]; // the driver wants a zero at the end
        stream.ReadExactly(text, 0, (int)stream.Length);
        return text;
    }

    private static string Text(byte[] log) => Encoding.UTF8.GetString(log.AsSpan(0, Math.Max(0, Array.IndexOf(log, (byte)0))));
}

/// <summary>One kernel of a loaded module.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Function">The driver's handle.</param>
/// <param name="StartsEarly">It may be started before the one in front of it has finished, and waits for that itself.</param>
internal sealed record CudaKernel(string Name, nint Function, bool StartsEarly)
{
    private const int MaxDynamicSharedBytes = 8;
    private const int PreferredSharedCarveout = 9;

    /// <summary>
    /// Has multiprocessors divide their memory for shared memory first. Kernels that are to overlap must divide it alike:
    /// changing the division waits until a multiprocessor is idle.
    /// </summary>
    public void PreferShared() => CudaError.Check(CudaDriver.FuncSetAttribute(Function, PreferredSharedCarveout, 100), $"dividing a multiprocessor's memory for kernel {Name}");

    /// <summary>Allows it more dynamic shared memory than the 48 KiB that every kernel has.</summary>
    public void AllowShared(int bytes) => CudaError.Check(CudaDriver.FuncSetAttribute(Function, MaxDynamicSharedBytes, bytes), $"giving kernel {Name} {bytes} bytes of shared memory");
}
