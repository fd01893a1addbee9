using System.Runtime.CompilerServices;
using Xlstm.Backends.Cuda.Interop;

namespace Xlstm.Backends.Cuda;

/// <summary>
/// Has the device pick the highest logits of sequences, straight into the host's memory. A pass names its sequences in a table
/// of <see cref="ShortlistItem"/> of its own, which a recorded graph can read anew each time.
/// </summary>
internal sealed unsafe class ShortlistKernel : IDisposable
{
    /// <summary>The most that a shortlist may want: a quarter of the threads, so that the bound they find lets few others past.</summary>
    public const int MaxWanted = 256;

    private const int Threads = 1024;

    // Shortlist of shortlist.cu: the count, then ids and logits.
    private const int IdsOffset = sizeof(int);
    private const int LogitsOffset = IdsOffset + (sizeof(int) * Shortlist.Capacity);
    private const int ListBytes = LogitsOffset + (sizeof(float) * Shortlist.Capacity);

    private readonly CudaContext _context;
    private readonly CudaStream _stream;
    private readonly CudaKernel _kernel;
    private readonly ConditionalWeakTable<TokenMask, DeviceBuffer> _masks = [];
    private readonly PinnedBuffer _lists;
    private readonly int _vocabSize;

    /// <param name="context">Where.</param>
    /// <param name="stream">Where its work is queued.</param>
    /// <param name="kernels">Its kernels.</param>
    /// <param name="vocabSize">V.</param>
    /// <param name="capacity">Most shortlists at a time.</param>
    public ShortlistKernel(CudaContext context, CudaStream stream, KernelSet kernels, int vocabSize, int capacity)
    {
        (_context, _stream, _kernel, _vocabSize) = (context, stream, kernels.Shortlist, vocabSize);
        _lists = new PinnedBuffer(context, (long)capacity * ListBytes);
    }

    /// <summary>An entry of a table.</summary>
    /// <param name="shortlist">What is wanted.</param>
    /// <param name="kept">Where all logits stay, float32 [V].</param>
    /// <param name="row">Of the logits that <see cref="Launch"/> is given.</param>
    /// <param name="place">Which of the lists it fills, for <see cref="Take"/>.</param>
    public ShortlistItem Item(Shortlist shortlist, ulong kept, int row, int place) => new()
    {
        Forbidden = AddressOf(shortlist.Forbidden),
        Kept = kept,
        Best = (ulong)(_lists.Pointer + ((long)place * ListBytes)),
        Row = row,
        Wanted = shortlist.Wanted,
    };

    /// <summary>Queues the choice.</summary>
    /// <param name="logits">float32 [*, V].</param>
    /// <param name="table">Entries in device memory.</param>
    /// <param name="count">How many.</param>
    public void Launch(ulong logits, ulong table, int count) =>
        _stream.Launch(_kernel, count, 1, Threads, 0, new ShortlistArguments { Logits = logits, Items = table, VocabSize = _vocabSize });

    /// <summary>Hands a list out once the stream has come past.</summary>
    public void Take(Shortlist shortlist, int place)
    {
        byte* list = _lists.Pointer + ((long)place * ListBytes);
        int count = Math.Max(0, *(int*)list);
        shortlist.Set(new ReadOnlySpan<int>(list + IdsOffset, count), new ReadOnlySpan<float>(list + LogitsOffset, count));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach ((TokenMask _, DeviceBuffer buffer) in _masks)
        {
            buffer.Dispose();
        }

        _lists.Dispose();
    }

    private ulong AddressOf(TokenMask mask)
    {
        if (!_masks.TryGetValue(mask, out DeviceBuffer? buffer))
        {
            ReadOnlySpan<uint> words = mask.Words;
            buffer = new DeviceBuffer(_context, sizeof(uint) * (long)words.Length, "a set of token ids");
            _masks.Add(mask, buffer); // before anything can fail: it is freed with the others
            fixed (uint* source = words)
            {
                _stream.Upload(buffer.Address, source, buffer.ByteLength);
                _stream.Synchronize();
            }
        }

        return buffer.Address;
    }
}
