// The products of a step with int8 and int4 weights on compute capability 9.0: a block of threads owns neighbouring panels; one
// warp has the copy engine stream them, a piece of a panel at a time, through a ring in shared memory, the others share a piece's
// columns.
#include "quantized.cuh"
#include "stream.cuh"

/// Stages of the longest ring, and the bytes in front of it: barriers and scratch.
constexpr int LongestRing = 16;
constexpr int HeaderBytes = 1024;

extern __shared__ __attribute__((aligned(128))) byte shared_memory[];

/// Rounds the thread's part of the input; four threads have a group.
template <int Vectors, Input Kind, bool Fine>
__device__ void quantize_input(const Eight (&x)[Vectors], int cols, byte* bytes, float2* scales)
{
#pragma unroll
    for (int i = 0; i < Vectors; i++)
    {
        int k = first_of_vector<Vectors, Kind>(i);
        float top = max_of(largest(x[i].low), largest(x[i].high)), inverse;
        top = max_of(top, shuffle_xor(top, 1));
        top = max_of(top, shuffle_xor(top, 2));
        float scale = group_scale<Fine>(top, inverse);
        FourRounded low(x[i].low, inverse), high(x[i].high, inverse);
        uint2 eight = {low.bytes(), high.bytes()};
        int sum = low.sum() + high.sum();
        sum += shuffle_xor(sum, 1);
        sum += shuffle_xor(sum, 2);
        if (k < cols)
        {
            if constexpr (Fine)
            {
                *(uint2*)(bytes + k) = {low.upper_bytes(), high.upper_bytes()};
                *(uint2*)(bytes + cols + k) = eight;
            }
            else
            {
                *(uint2*)(bytes + k) = eight;
            }

            if (lane_index() % 4 == 0)
            {
                scales[k / GroupCols] = {scale, scale * sum};
            }
        }
    }

    consumers_meet();
}

template <int Vectors, typename W, Input In, Result Out>
__device__ void stream_quantized(const QuantizedArgs& args)
{
    constexpr int StagePairs = W::StagePairs, StageBytes = W::HeaderBytes + StagePairs * W::PairBytes;
    constexpr bool Fine = is_fine(Out);
    const MatVecArgs& a = args.product;
    let_next_start();
    Ring<LongestRing> ring(shared_memory, args.stages);
    float* scratch = (float*)(shared_memory + ring.BarrierBytes);  // [72]
    byte* pieces = shared_memory + HeaderBytes;                    // [stages][StageBytes]
    float2* scales = (float2*)(pieces + args.stages * StageBytes); // [cols / 32]
    byte* bytes = (byte*)(scales + a.cols / GroupCols);            // [BytesPerValue][cols]
    float* partial = (float*)(bytes + BytesPerValue<Fine> * a.cols); // [Warps][block_panels][16]
    PanelRange<Out> range(args.parts);
    int pairs = a.cols / PairCols, count = range.count();
    long panel_bytes = W::HeaderBytes + (long)pairs * W::PairBytes;
    int copied = 0, copied_pairs = 0; // whole panels, and of the next one
    auto copy_piece = [&]()
    {
        int header = copied_pairs == 0 ? W::HeaderBytes : 0;
        const byte* panel = (const byte*)a.weights + range[copied] * panel_bytes;
        uint length = header + min_of(StagePairs, pairs - copied_pairs) * W::PairBytes;
        barrier_expect(ring.full(), length);
        copy_bulk(shared_address(pieces + ring.stage * StageBytes), panel + (W::HeaderBytes - header) + (long)copied_pairs * W::PairBytes, length, ring.full());
        copied_pairs += StagePairs;
        if (copied_pairs >= pairs)
        {
            copied_pairs = 0;
            copied++;
        }
    };
    if (fill_ring(ring, a.next, [&]() { return copied < count; }, copy_piece))
    {
        return;
    }

    int thread = thread_index();
    constexpr bool HasGates = In == NormInput && Out == StoreResult;
    GateRow<HasGates ? Vectors : 1> gate;
    if constexpr (HasGates)
    {
        gate.fetch(a);
    }

    NormWeights<Vectors, In> norm;
    norm.fetch(a);
    wait_for_previous();
    CommitShare commit;
    if (In == HeadsInput)
    {
        commit.fetch(a.commit, thread);
    }

    float scale, residual = range.residual(a, args.parts, thread);
    {
        Eight x[Vectors];
        scale = load_input<Vectors, In>(a, norm, x, scratch);
        if constexpr (HasGates)
        {
            gate.finish(a, x, scale, scratch + 64);
        }

        quantize_input<Vectors, In, Fine>(x, a.cols, bytes, scales);
    }

    int per_warp = args.block_panels * PanelRows;
    for (int i = 0; i < count; i++)
    {
        PanelScale<W> of_panel;
        RowSum sum = {0, 0};
        for (int first = 0; first < pairs; first += StagePairs)
        {
            ring.wait_full();
            const byte* piece = pieces + ring.stage * StageBytes;
            if (first == 0)
            {
                of_panel.load(piece);
                piece += W::HeaderBytes;
            }

#pragma unroll
            for (int j = 0; j < StagePairs / Warps; j++)
            {
                int place = j * Warps + warp_index(), pair = first + place;
                if (pair < pairs)
                {
                    multiply_pair<W, Fine>(piece + place * W::PairBytes, bytes + pair * PairCols, scales + pair * 2, a.cols, sum);
                }
            }

            warp_meet();
            if (lane_index() == 0)
            {
                barrier_arrive(ring.empty());
            }

            ring.next();
        }

        float value = of_panel.apply(sum);
        if (lane_index() < PanelRows)
        {
            partial[warp_index() * per_warp + i * PanelRows + lane_index()] = value;
        }
    }

    consumers_meet();
    range.template finish_rows<Warps>(a, args.parts, partial, per_warp, scale, residual, thread, Consumers);
    if (In == HeadsInput)
    {
        commit.store(a.commit, Consumers);
    }
}

#define STREAM(name, vectors, weights, in, out) \
    extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) name##_##vectors(const QuantizedArgs args) { stream_quantized<vectors, weights, in, out>(args); }

// The number after a name: vectors a thread, for inputs up to 2,048 columns each.
#define STREAM_SHORT(name, weights, in, out) \
    STREAM(name, 1, weights, in, out) \
    STREAM(name, 2, weights, in, out)

#define STREAM_LONG(name, weights, in, out) \
    STREAM_SHORT(name, weights, in, out) \
    STREAM(name, 4, weights, in, out) \
    STREAM(name, 6, weights, in, out)

STREAM_SHORT(stream_qkvo_int8, Int8, NormInput, StoreResult)
STREAM_SHORT(stream_out_int8, Int8, HeadsInput, AddResult)
STREAM(stream_out_int8, 4, Int8, HeadsInput, AddResult)
STREAM_SHORT(stream_up_int8, Int8, NormInput, SwiGluResult)
STREAM_SHORT(stream_logits_int8, Int8, NormInput, CapResult)
STREAM_LONG(stream_down_int8, Int8, PlainInput, AddResult)
STREAM_SHORT(stream_qkvo_int4, Int4, NormInput, StoreResult)
STREAM_SHORT(stream_out_int4, Int4, HeadsInput, AddResult)
STREAM(stream_out_int4, 4, Int4, HeadsInput, AddResult)
STREAM_SHORT(stream_up_int4, Int4, NormInput, SwiGluResult)
STREAM_LONG(stream_down_int4, Int4, PlainInput, AddResult)
