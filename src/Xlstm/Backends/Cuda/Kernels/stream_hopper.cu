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
    ulong* barriers = (ulong*)shared_memory;              // full, then empty, [MaxStages] each
    float* scratch = (float*)(shared_memory + 128);       // [224]
    byte* ring = shared_memory + 1024;                    // [stages][Rows][cols]
    float* partial = (float*)(ring + args.stages * stage_bytes); // [Warps][block_rows]
    uint full = shared_address(barriers), empty = full + MaxStages * 8;

    // Pairs stay together: gate and up of a unit.
    int pairs = (a.rows + 1) / 2;
    int first = share_start(pairs, block_x()) * 2;
    int last = min_of(a.rows, share_start(pairs, block_x() + 1) * 2);
    int count = last - first, rounds = (count + Rows - 1) / Rows;
    if (warp_index() == Warps)
    {
        make_ring(full, empty, args.stages);
    }

    __syncthreads();
    if (warp_index() == Warps)
    {
        if (lane_index() == 0)
        {
            const byte* source = (const byte*)a.weights + (long)first * row_bytes;
            int stage = 0;
            uint parity = 1; // the first time round every stage is empty
            for (int round = 0; round < rounds; round++)
            {
                uint bytes = min_of(Rows, count - round * Rows) * row_bytes;
                barrier_wait(empty + stage * 8, parity);
                barrier_expect(full + stage * 8, bytes);
                copy_bulk(shared_address(ring + stage * stage_bytes), source + (long)round * stage_bytes, bytes, full + stage * 8);
                if (++stage == args.stages)
                {
                    stage = 0;
                    parity ^= 1;
                }
            }

            fetch_next(a.next);
        }

        wait_for_previous();
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
    Eight x[Vectors];
    float scale = load_input<Vectors, In>(a, norm, x, scratch);
    if constexpr (HasGates)
    {
        gate.finish(a, x, scale, scratch + 64);
    }

    int stage = 0;
    uint parity = 0;
    for (int round = 0; round < rounds; round++)
    {
        barrier_wait(full + stage * 8, parity);
        const byte* rows = ring + stage * stage_bytes;
        float sums[Rows] = {};
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            int vector = i * Consumers + thread;
            if (vector * PerVector < a.cols)
            {
#pragma unroll
                for (int row = 0; row < Rows; row++)
                {
                    // Past the last row this reads what an earlier round left; nobody looks at the sum.
                    uint4 w = *(const uint4*)(rows + row * row_bytes + vector * 16);
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
            barrier_arrive(empty + stage * 8);
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

        if (++stage == args.stages)
        {
            stage = 0;
            parity ^= 1;
        }
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

    if (In == HeadsInput && block_x() == grid_x() - 1 && a.commit.heads > 0)
    {
        commit_cell(a.commit, thread, Consumers);
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
