using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Xlstm.Backends.Cpu;
using Xlstm.Memory;

namespace Xlstm;

/// <summary>How fast memory is that no cache holds: what decoding is bound by. Of this machine's memory what threads read; of a GPU's what a copy reads and writes, both counted.</summary>
/// <param name="BufferBytes">Size of the buffer that the threads share, or of each of the two of a copy.</param>
/// <param name="Best">Bytes a second of the fastest pass: the ceiling.</param>
/// <param name="Median">Bytes a second of the median pass.</param>
public sealed record MemoryBandwidth(long BufferBytes, double Best, double Median)
{
    /// <summary>Smallest buffer that is surely not read from a cache: last-level caches of servers reach hundreds of megabytes.</summary>
    public const long TrustedBytes = 2L << 30;

    private const long SmallestBytes = 64L << 20;

    /// <summary>Passes that are timed.</summary>
    internal const int Passes = 7;

    /// <summary>
    /// Measures the memory that a model's weights are in: on the CPU read by as many threads as the model has, on a GPU copied from one
    /// buffer to another. Null for a model on several GPUs: they run one after the other, and no one memory is the ceiling.
    /// </summary>
    /// <param name="model">The model; it must not compute meanwhile.</param>
    /// <param name="wantedBytes">Size of a buffer. Less is taken when that would be more than half of what is free; see <see cref="BufferBytes"/>.</param>
    /// <exception cref="XlstmException">There is no memory even for a small buffer, or the GPU's driver refuses.</exception>
    public static MemoryBandwidth? Measure(XlstmModel model, long wantedBytes = TrustedBytes)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentOutOfRangeException.ThrowIfLessThan(wantedBytes, 1);
        return model.Backend.MeasureMemory(wantedBytes);
    }

    /// <summary>Measures this machine's memory: every thread sums its share of a buffer, several times.</summary>
    /// <param name="threads">Threads that read.</param>
    /// <param name="wantedBytes">Size of the buffer. Less is taken when the machine has not twice that free; see <see cref="BufferBytes"/>.</param>
    /// <exception cref="XlstmException">There is no memory even for a small buffer.</exception>
    public static MemoryBandwidth Measure(int threads, long wantedBytes = TrustedBytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(wantedBytes, 1);
        long bytes = Math.Max(SmallestBytes, Math.Min(wantedBytes, Machine.AvailableMemory / 2));
        using var buffer = new NativeBuffer(bytes / ReadWork.Block * ReadWork.Block, zeroed: false);
        using var pool = new WorkerPool(threads);
        var work = new ReadWork(buffer, pool);
        pool.Run(work); // writes: memory that was never written is one page of zeros
        work.Reads = true;
        var seconds = new double[Passes];
        for (int i = 0; i < Passes; i++)
        {
            long start = Stopwatch.GetTimestamp();
            pool.Run(work);
            seconds[i] = Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        return Of(buffer.ByteLength, buffer.ByteLength, seconds);
    }

    /// <summary>What passes come to that move as many bytes each.</summary>
    internal static MemoryBandwidth Of(long bufferBytes, long passBytes, double[] seconds)
    {
        Array.Sort(seconds);
        return new MemoryBandwidth(bufferBytes, passBytes / seconds[0], passBytes / seconds[seconds.Length / 2]);
    }

    private sealed unsafe class ReadWork(NativeBuffer buffer, WorkerPool pool) : IParallelWork
    {
        public const int Block = 1 << 20;

        // Four streams a thread, prefetched 2 KiB ahead, as the kernels read panels: more outstanding loads than one stream has.
        private const int Streams = 4;
        private const int Line = 64;
        private const int PrefetchBytes = 2048;

        private readonly long[] _sums = new long[pool.Threads * Line];

        public bool Reads { get; set; }

        public void Execute(int worker)
        {
            (int first, int last) = pool.Share((int)(buffer.ByteLength / Block), worker);
            byte* start = buffer.Pointer + ((long)first * Block);
            long length = (long)(last - first) * Block;
            if (Reads)
            {
                _sums[worker * Line] = Sum(start, length / Streams);
            }
            else
            {
                for (long i = 0; i < length; i += sizeof(long))
                {
                    *(long*)(start + i) = i;
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static long Sum(byte* start, long stream)
        {
            byte* p0 = start, p1 = p0 + stream, p2 = p1 + stream, p3 = p2 + stream;
            Vector512<long> s0 = default, s1 = default, s2 = default, s3 = default;
            for (long i = 0; i < stream; i += Line)
            {
                if (Sse.IsSupported)
                {
                    Sse.Prefetch0(p0 + i + PrefetchBytes);
                    Sse.Prefetch0(p1 + i + PrefetchBytes);
                    Sse.Prefetch0(p2 + i + PrefetchBytes);
                    Sse.Prefetch0(p3 + i + PrefetchBytes);
                }

                s0 += Vector512.Load((long*)(p0 + i));
                s1 += Vector512.Load((long*)(p1 + i));
                s2 += Vector512.Load((long*)(p2 + i));
                s3 += Vector512.Load((long*)(p3 + i));
            }

            return Vector512.Sum(s0 + s1 + s2 + s3);
        }
    }
}
