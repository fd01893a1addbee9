// What the products of a step that stream their weights through the copy engine share: a block of eight warps that multiply
// and one that copies; each of the 256 threads brings in its own part of the input.
#pragma once
#include "async.cuh"
#include "step.cuh"

constexpr int Consumers = 256;
constexpr int Warps = Consumers / WarpSize;
constexpr int Threads = Consumers + WarpSize;
constexpr int PerVector = 8;

/// A place in a ring of stages that one warp fills and the others empty, each side walking along on its own. Barriers: whether a stage is
/// full, then whether it is empty, [Longest] each.
template <int Longest>
struct Ring
{
    static constexpr int BarrierBytes = 2 * Longest * 8;

    uint barriers;
    int stages;
    int stage = 0;
    uint parity = 0;

    __device__ Ring(const void* barriers, int stages) : barriers(shared_address(barriers)), stages(stages) {}

    __device__ uint full() const { return barriers + stage * 8; }
    __device__ uint empty() const { return full() + Longest * 8; }

    /// Makes the stage's barriers.
    __device__ void make() const
    {
        barrier_init(full(), 1);
        barrier_init(empty(), Warps);
        barrier_init_done();
    }

    __device__ void wait_full() const { barrier_wait(full(), parity); }

    /// Not of the first time round, when every stage is empty.
    __device__ void wait_empty() const { barrier_wait(empty(), parity ^ 1); }

    __device__ void next()
    {
        if (++stage == stages)
        {
            stage = 0;
            parity ^= 1;
        }
    }
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

/// Has the L2 fetch what the same block of threads of the next product will stream first: memory would have nothing to do from the
/// end of one product's weights until the next one starts.
__device__ void fetch_next(const NextWeights& next)
{
    long half_bytes = next.bytes / next.halves;
    for (int half = 0; next.address && half < next.halves; half++)
    {
        long first = half_bytes * block_x() / grid_x() & ~15l, end = half_bytes * (block_x() + 1) / grid_x() & ~15l;
        long bytes = end - first < next.share / next.halves ? end - first : next.share / next.halves;
        if (bytes > 0)
        {
            prefetch_bulk(next.address + half * half_bytes + first, (uint)bytes);
        }
    }
}

/// What the warp that copies does, all of it, and the barrier before which others must not look at the ring; returns whether this is that warp.
/// more: whether there is more to copy; copy: fills the stage.
template <int Longest, typename More, typename Copy>
__device__ bool fill_ring(Ring<Longest>& ring, const NextWeights& next, More more, Copy copy)
{
    bool copies = warp_index() == Warps;
    if (copies && lane_index() == 0)
    {
        // Weights depend on nothing: the ring fills while the kernel in front is still running. Making barriers takes long, so each
        // is made when it is needed.
        for (int i = 0; i < ring.stages && more(); i++)
        {
            ring.make();
            copy();
            ring.next();
        }
    }

    __syncthreads();
    if (copies)
    {
        // The other lanes do not wait for the kernel in front: the whole warp would.
        if (lane_index() == 0)
        {
            while (more())
            {
                ring.wait_empty();
                copy();
                ring.next();
            }

            fetch_next(next);
        }

        return true;
    }

    return false;
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

/// The first element of a thread's vector i: of all vectors side by side, or of a warp's own ones where a warp has whole heads.
template <int Vectors, Input Kind>
__device__ int first_of_vector(int i)
{
    return (Kind == HeadsInput ? (warp_index() * Vectors + i) * WarpSize + lane_index() : i * Consumers + thread_index()) * PerVector;
}

/// What the input's norm multiplies by, which depends on nothing: fetched while the kernel in front is still running, for behind the
/// weights in memory's queue it would come late.
template <int Vectors, Input Kind>
struct NormWeights
{
    Eight weights[Vectors];

    __device__ void fetch(const MatVecArgs& a)
    {
#pragma unroll
        for (int i = 0; i < Vectors && Kind != PlainInput; i++)
        {
            int k = first_of_vector<Vectors, Kind>(i);
            if (k < a.cols)
            {
                weights[i].load(a.norm + k);
            }
        }
    }
};

/// The input, a vector of a thread being 8 elements from first_of_vector on; returns what the products are to be multiplied by.
template <int Vectors, Input Kind>
__device__ float load_input(const MatVecArgs& a, NormWeights<Vectors, Kind>& norm, Eight (&x)[Vectors], float* scratch)
{
    Eight zero = {};
    bool inside[Vectors];
    int k[Vectors];
#pragma unroll
    for (int i = 0; i < Vectors; i++)
    {
        k[i] = first_of_vector<Vectors, Kind>(i);
        inside[i] = k[i] < a.cols; // the width is a multiple of 8 here, and cols is the width
        x[i] = zero;
    }

    if constexpr (Kind == NormInput)
    {
        Eight(&weights)[Vectors] = norm.weights;
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            if (inside[i])
            {
                x[i].load(a.x + k[i]);
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

        float scale = fast_inverse_root(consumers_sum(squares, scratch) * fast_reciprocal(a.width) + a.eps);
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
        // A head is so many neighbouring vectors of one warp.
        uint dv = (uint)a.width / (uint)a.heads, parts = dv / (WarpSize * PerVector);
        float inverse_dv = fast_reciprocal(dv);
        Eight gates[Vectors];
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            if (inside[i])
            {
                x[i].load(a.x + k[i]);
                gates[i].load(a.gate + k[i]);
            }
        }

        auto sums_of_heads = [&](const float (&mine)[Vectors], float (&of_head)[Vectors])
        {
            float sums[Vectors];
#pragma unroll
            for (int i = 0; i < Vectors; i++)
            {
                sums[i] = warp_sum(mine[i]);
            }

#pragma unroll
            for (int i = 0; i < Vectors; i++)
            {
                of_head[i] = 0;
#pragma unroll
                for (int j = 0; j < Vectors; j++)
                {
                    of_head[i] += j / parts == i / parts ? sums[j] : 0.0f;
                }
            }
        };
        float mine[Vectors], mean[Vectors], variance[Vectors];
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            mine[i] = x[i].sum();
        }

        sums_of_heads(mine, mean);
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            mean[i] *= inverse_dv;
            float m = mean[i];
            x[i].each(zero, zero, [=](float value, float, float) { return value - m; });
            mine[i] = inside[i] ? x[i].dot(x[i]) : 0.0f;
        }

        sums_of_heads(mine, variance);
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            float scale = fast_inverse_root(variance[i] * inverse_dv + a.eps);
            Eight bias = zero;
            if (inside[i] && a.norm_bias)
            {
                bias.load(a.norm_bias + k[i]);
            }

            if (inside[i])
            {
                x[i].each(norm.weights[i], bias, [=](float value, float weight, float b) { return fma_of(value * scale, weight, b); });
                x[i].each(gates[i], zero, [](float value, float gate, float) { return value * fast_sigmoid(gate); });
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

/// The i and f preactivations: a row for each of the first blocks of threads, fetched before its input is there.
template <int Vectors>
struct GateRow
{
    Eight weights[Vectors];
    bool mine;

    __device__ void fetch(const MatVecArgs& a)
    {
        mine = block_x() < a.gate_rows;
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            int k = (i * Consumers + thread_index()) * PerVector;
            if (mine && k < a.cols)
            {
                weights[i].load(a.gate_weights + (long)block_x() * a.cols + k);
            }
        }
    }

    /// scratch: float[8].
    __device__ void finish(const MatVecArgs& a, const Eight (&x)[Vectors], float scale, float* scratch) const
    {
        if (!mine)
        {
            return;
        }

        float sum = 0;
#pragma unroll
        for (int i = 0; i < Vectors; i++)
        {
            sum += (i * Consumers + thread_index()) * PerVector < a.cols ? x[i].dot(weights[i]) : 0.0f;
        }

        sum = consumers_sum(sum, scratch);
        if (thread_index() == 0)
        {
            a.gate_out[block_x()] = sum * scale + a.gate_bias[block_x()];
        }
    }
};
