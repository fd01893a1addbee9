// The products of a step on compute capability 9.0, for bfloat16 weights: a block of threads owns neighbouring rows, which are
// one stretch of memory; one warp has the copy engine stream it through a ring in shared memory, the others multiply. Each of
// these threads keeps its part of the input vector in registers for all rows.
#include "stream.cuh"

constexpr int MaxStages = 8;

extern __shared__ __attribute__((aligned(128))) byte shared_memory[];

struct StreamArgs
{
    MatVecArgs product;
    int stages;       // of the ring
    int block_rows;   // most rows of a block of threads
};

/// Rows: how many of them a stage of the ring holds.
template <int Vectors, int Rows, Input In, Result Out>
__device__ void stream_mat_vec(const StreamArgs& args)
{
    const MatVecArgs& a = args.product;
    let_next_start();
    uint row_bytes = a.cols * sizeof(bf16), stage_bytes = Rows * row_bytes;
    Ring<MaxStages> ring(shared_memory, args.stages);
    float* scratch = (float*)(shared_memory + ring.BarrierBytes); // [72]
    byte* pieces = shared_memory + 1024;                          // [stages][Rows][cols]
    float* partial = (float*)(pieces + args.stages * stage_bytes); // [Warps][block_rows]

    // Pairs stay together: gate and up of a unit.
    int pairs = (a.rows + 1) / 2;
    int first = share_start(pairs, block_x()) * 2;
    int last = min_of(a.rows, share_start(pairs, block_x() + 1) * 2);
    int count = last - first, rounds = (count + Rows - 1) / Rows;
    int copied = 0;
    auto copy_rows = [&]()
    {
        uint bytes = min_of(Rows, count - copied * Rows) * row_bytes;
        barrier_expect(ring.full(), bytes);
        copy_bulk(shared_address(pieces + ring.stage * stage_bytes), (const byte*)a.weights + (long)first * row_bytes + (long)copied * stage_bytes, bytes, ring.full());
        copied++;
    };
    if (fill_ring(ring, a.next, [&]() { return copied < rounds; }, copy_rows))
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

    Eight x[Vectors];
    float scale = load_input<Vectors, In>(a, norm, x, scratch);
    if constexpr (HasGates)
    {
        gate.finish(a, x, scale, scratch + 64);
    }

    for (int round = 0; round < rounds; round++)
    {
        ring.wait_full();
        const byte* rows = pieces + ring.stage * stage_bytes;
        float sums[Rows] = {};
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            int k = first_of_vector<Vectors, In>(i);
            if (k < a.cols)
            {
#pragma unroll
                for (int row = 0; row < Rows; row++)
                {
                    // Past the last row this reads what an earlier round left; nobody looks at the sum.
                    uint4 w = *(const uint4*)(rows + row * row_bytes + k * sizeof(bf16));
                    float sum = fma_of(low_half(w.x), x[i].low.x, sums[row]);
                    sum = fma_of(high_half(w.x), x[i].low.y, sum);
                    sum = fma_of(low_half(w.y), x[i].low.z, sum);
                    sum = fma_of(high_half(w.y), x[i].low.w, sum);
                    sum = fma_of(low_half(w.z), x[i].high.x, sum);
                    sum = fma_of(high_half(w.z), x[i].high.y, sum);
                    sum = fma_of(low_half(w.w), x[i].high.z, sum);
                    sums[row] = fma_of(high_half(w.w), x[i].high.w, sum);
                }
            }
        }

        warp_meet();
        if (lane_index() == 0)
        {
            barrier_arrive(ring.empty());
        }

#pragma unroll
        for (int row = 0; row < Rows; row++)
        {
            float sum = warp_sum(sums[row]);
            if (lane_index() == 0 && round * Rows + row < count)
            {
                partial[warp_index() * args.block_rows + round * Rows + row] = sum;
            }
        }

        ring.next();
    }

    consumers_meet();
    auto total = [&](int row)
    {
        float sum = 0;
#pragma unroll
        for (int warp = 0; warp < Warps; warp++)
        {
            sum += partial[warp * args.block_rows + row];
        }

        return sum * scale + (a.bias ? a.bias[first + row] : 0.0f);
    };
    for (int row = thread; row < count; row += Consumers)
    {
        if (Out == SwiGluResult)
        {
            if ((row & 1) == 0)
            {
                finish<Out>(a, first + row, total(row), total(row + 1));
            }
        }
        else
        {
            finish<Out>(a, first + row, total(row), 0.0f);
        }
    }

    if (In == HeadsInput)
    {
        commit.store(a.commit, Consumers);
    }
}

#define STREAM(name, vectors, rows, in, out) \
    extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) name##_##vectors(const StreamArgs args) { stream_mat_vec<vectors, rows, in, out>(args); }

// The number after a name: vectors a thread, for inputs up to 2,048 columns each.
#define STREAM_ALL(name, in, out) \
    STREAM(name, 1, 4, in, out) \
    STREAM(name, 2, 2, in, out) \
    STREAM(name, 4, 2, in, out)

STREAM_ALL(stream_qkvo, NormInput, StoreResult)
STREAM_ALL(stream_out, HeadsInput, AddResult)
STREAM_ALL(stream_up, NormInput, SwiGluResult)
STREAM_ALL(stream_logits, NormInput, CapResult)
STREAM(stream_down, 1, 4, PlainInput, AddResult)
STREAM(stream_down, 2, 2, PlainInput, AddResult)
STREAM(stream_down, 4, 2, PlainInput, AddResult)
STREAM(stream_down, 6, 1, PlainInput, AddResult)
STREAM(stream_down, 8, 1, PlainInput, AddResult)
