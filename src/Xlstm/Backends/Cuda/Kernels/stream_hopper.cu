// The products of a step on compute capability 9.0, for bfloat16 weights: a block of threads owns neighbouring rows, which are
// one stretch of memory; one warp has the copy engine stream it through a ring in shared memory, the others multiply. Each of
// these threads keeps its part of the input vector in registers for all rows.
#include "async.cuh"
#include "step.cuh"

constexpr int Consumers = 256;
constexpr int Warps = Consumers / WarpSize;
constexpr int Threads = Consumers + WarpSize;
constexpr int PerVector = 8;
constexpr int MaxStages = 8;

extern __shared__ __attribute__((aligned(128))) byte shared_memory[];

struct StreamArgs
{
    MatVecArgs product;
    int stages;       // of the ring
    int block_rows;   // most rows of a block of threads
};

__device__ void consumers_meet() { barrier_of_some<1, Consumers>(); }

__device__ float consumers_sum(float value, float* scratch)
{
    value = warp_sum(value);
    if (lane_index() == 0)
    {
        scratch[warp_index()] = value;
    }

    consumers_meet();
    float sum = 0;
#pragma unroll
    for (int warp = 0; warp < Warps; warp++)
    {
        sum += scratch[warp];
    }

    return sum;
}

struct Eight
{
    float4 low, high;

    __device__ void load(const float* p)
    {
        low = *(const float4*)p;
        high = *(const float4*)(p + 4);
    }

    __device__ float sum() const { return ((low.x + low.y) + (low.z + low.w)) + ((high.x + high.y) + (high.z + high.w)); }

    __device__ float dot(const Eight& other) const
    {
        float a = fma_of(low.x, other.low.x, fma_of(low.y, other.low.y, fma_of(low.z, other.low.z, low.w * other.low.w)));
        return fma_of(high.x, other.high.x, fma_of(high.y, other.high.y, fma_of(high.z, other.high.z, fma_of(high.w, other.high.w, a))));
    }

    template <typename F>
    __device__ void each(const Eight& a, const Eight& b, F f)
    {
        low = {f(low.x, a.low.x, b.low.x), f(low.y, a.low.y, b.low.y), f(low.z, a.low.z, b.low.z), f(low.w, a.low.w, b.low.w)};
        high = {f(high.x, a.high.x, b.high.x), f(high.y, a.high.y, b.high.y), f(high.z, a.high.z, b.high.z), f(high.w, a.high.w, b.high.w)};
    }
};

/// The input, vector i of a thread being elements 8 (256 i + thread) and on; returns what the products are to be multiplied by.
template <int Vectors, Input Kind>
__device__ float load_input(const MatVecArgs& a, Eight (&x)[Vectors], float* scratch)
{
    Eight zero = {};
    bool inside[Vectors];
    int k[Vectors];
#pragma unroll
    for (int i = 0; i < Vectors; i++)
    {
        k[i] = (i * Consumers + thread_index()) * PerVector;
        inside[i] = k[i] < a.cols; // the width is a multiple of 8 here, and cols is the width
        x[i] = zero;
    }

    if constexpr (Kind == NormInput)
    {
        Eight weights[Vectors];
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            if (inside[i])
            {
                x[i].load(a.x + k[i]);
                weights[i].load(a.norm + k[i]);
            }
        }

        float squares = 0;
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            squares += x[i].dot(x[i]);
            if (inside[i])
            {
                x[i].each(weights[i], zero, [](float value, float weight, float) { return value * weight; });
            }
        }

        float scale = 1.0f / sqrt_of(consumers_sum(squares, scratch) / a.width + a.eps);
        if (a.norm_bias)
        {
#pragma unroll
            for (int i = 0; i < Vectors; i++)
            {
                if (inside[i])
                {
                    weights[i].load(a.norm_bias + k[i]);
                    x[i].each(weights[i], zero, [=](float value, float bias, float) { return fma_of(value, scale, bias); });
                }
            }

            return 1.0f;
        }

        return scale;
    }
    else if constexpr (Kind == HeadsInput)
    {
        // A head is a whole number of warps' vectors: dv is a multiple of 256.
        int dv = a.width / a.heads, parts = dv / (WarpSize * PerVector);
        Eight gates[Vectors], weights[Vectors];
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            if (inside[i])
            {
                x[i].load(a.x + k[i]);
                gates[i].load(a.gate + k[i]);
                weights[i].load(a.norm + k[i]);
            }
        }

        auto sums_of_heads = [&](const float (&mine)[Vectors], float* place, float (&of_head)[Vectors])
        {
#pragma unroll
            for (int i = 0; i < Vectors; i++)
            {
                float sum = warp_sum(mine[i]);
                if (lane_index() == 0)
                {
                    place[i * Warps + warp_index()] = sum;
                }
            }

            consumers_meet();
#pragma unroll
            for (int i = 0; i < Vectors; i++)
            {
                int first = (i * Warps + warp_index()) / parts * parts;
                of_head[i] = 0;
                for (int part = 0; part < parts; part++)
                {
                    of_head[i] += place[first + part];
                }
            }
        };
        float mine[Vectors], mean[Vectors], variance[Vectors];
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            mine[i] = x[i].sum();
        }

        sums_of_heads(mine, scratch, mean);
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            mean[i] /= dv;
            float m = mean[i];
            x[i].each(zero, zero, [=](float value, float, float) { return value - m; });
            mine[i] = inside[i] ? x[i].dot(x[i]) : 0.0f;
        }

        sums_of_heads(mine, scratch + Vectors * Warps, variance);
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            float scale = 1.0f / sqrt_of(variance[i] / dv + a.eps);
            Eight bias = zero;
            if (inside[i] && a.norm_bias)
            {
                bias.load(a.norm_bias + k[i]);
            }

            if (inside[i])
            {
                x[i].each(weights[i], bias, [=](float value, float weight, float b) { return fma_of(value * scale, weight, b); });
                x[i].each(gates[i], zero, [](float value, float gate, float) { return value * sigmoid(gate); });
            }
            else
            {
                x[i] = zero;
            }
        }
    }
    else
    {
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            if (inside[i])
            {
                x[i].load(a.x + k[i]);
            }
        }
    }

    return 1.0f;
}

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
    int first = (int)((long)pairs * block_x() / grid_x()) * 2;
    int last = min_of(a.rows, (int)((long)pairs * (block_x() + 1) / grid_x()) * 2);
    int count = last - first, rounds = (count + Rows - 1) / Rows;
    if (thread_index() == 0)
    {
        for (int stage = 0; stage < args.stages; stage++)
        {
            barrier_init(full + stage * 8, 1);
            barrier_init(empty + stage * 8, Warps);
        }

        barrier_init_done();
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
        }

        wait_for_previous();
        return;
    }

    int thread = thread_index();
    bool has_gate = In == NormInput && Out == StoreResult && block_x() < a.gate_rows;
    Eight gate_weights[Vectors];
    if (has_gate)
    {
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            int k = (i * Consumers + thread) * PerVector;
            if (k < a.cols)
            {
                gate_weights[i].load(a.gate_weights + (long)block_x() * a.cols + k);
            }
        }
    }

    wait_for_previous();
    Eight x[Vectors];
    float scale = load_input<Vectors, In>(a, x, scratch);
    if (has_gate)
    {
        float sum = 0;
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            sum += (i * Consumers + thread) * PerVector < a.cols ? x[i].dot(gate_weights[i]) : 0.0f;
        }

        sum = consumers_sum(sum, scratch + 64);
        if (thread == 0)
        {
            a.gate_out[block_x()] = sum * scale + a.gate_bias[block_x()];
        }
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

        __nvvm_bar_warp_sync(0xFFFFFFFFu);
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
