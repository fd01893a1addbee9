using System.Runtime.InteropServices;

namespace Xlstm.Backends.Cuda.Interop;

/// <summary>What the driver's result codes mean to a person.</summary>
internal static unsafe class CudaError
{
    public const int OutOfMemory = 2;
    public const int NoDevice = 100;
    public const int InvalidPtx = 218;
    public const int UnsupportedPtxVersion = 222;

    /// <summary>Throws unless a call succeeded.</summary>
    /// <param name="result">What the driver returned.</param>
    /// <param name="doing">"starting a kernel": what was tried.</param>
    /// <exception cref="XlstmException">It did not.</exception>
    public static void Check(int result, string doing)
    {
        if (result != 0)
        {
            throw new XlstmException($"CUDA: {doing} failed: {Describe(result)}{Advice(result)}");
        }
    }

    /// <summary>The driver's own words, and the code.</summary>
    public static string Describe(int result) =>
        CudaDriver.GetErrorString(result, out byte* text) == 0 && text is not null
            ? $"{Marshal.PtrToStringUTF8((nint)text)} (CUDA error {result})"
            : $"CUDA error {result}";

    // After one of these every later call of the process fails with the same code.
    private static string Advice(int result) => result switch
    {
        OutOfMemory => "; close other programs on the GPU, or take a smaller weight format",
        46 or 700 or 702 or 709 or 714 or 715 or 716 or 717 or 718 or 719 or 999 => "; the GPU is lost to this process: start it again",
        _ => "",
    };
}
