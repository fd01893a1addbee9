// The products of one token of one sequence: a matrix times a vector, with everything around it fused in.
// Bound by memory: every kernel starts fetching its weights before the kernel in front of it has finished.
#include "step_input.cuh"

/// Vectors of 16 bytes of each of a warp's two rows that a lane takes at a time, and how many such chunks are under way.
constexpr int Depth = 2;
constexpr int Ring = 4;

extern __shared__ float4 shared_memory[];

/// A warp's walk over pairs of rows, in chunks of Depth vectors a lane and row.
template <typename W> struct Walk
{
    const W* weights;
    int rows;
    int cols;
    int vectors;  // of 16 bytes, a row
    int chunks;   // a row
    int pair;
    int chunk;

    __device__ Walk(const MatVecArgs& a, int first_pair) : weights((const W*)a.weights), rows(a.rows), cols(a.cols), pair(first_pair), chunk(0)
    {
        vectors = cols / Layout<W>::PerVector;
        chunks = (vectors + WarpSize * Depth - 1) / (WarpSize * Depth);
    }

    __device__ bool inside() const { return 2 * pair < rows; }

    __device__ void fetch(uint4 (&a)[Depth], uint4 (&b)[Depth]) const
    {
        const W* row_a = weights + (long)(2 * pair) * cols;
        const W* row_b = 2 * pair + 1 < rows ? row_a + cols : row_a;
        int first = chunk * WarpSize * Depth + lane_index();
#pragma unroll
        for (int i = 0; i < Depth; i++)
        {
            int vector = first + i * WarpSize;
            if (vector < vectors)
            {
                a[i] = load_streaming(row_a + (long)vector * Layout<W>::PerVector);
                b[i] = load_streaming(row_b + (long)vector * Layout<W>::PerVector);
            }
        }
    }

    __device__ void multiply(const uint4 (&a)[Depth], const uint4 (&b)[Depth], const float* x, float& sum_a, float& sum_b) const
    {
        int first = chunk * WarpSize * Depth + lane_index();
#pragma unroll
        for (int i = 0; i < Depth; i++)
        {
            int vector = first + i * WarpSize;
            if (vector < vectors)
            {
                Layout<W>::multiply(a[i], b[i], x, vector, cols, sum_a, sum_b);
            }
        }
    }

    __device__ void next(int stride)
    {
        if (++chunk == chunks)
        {
            chunk = 0;
            pair += stride;
        }
    }
};

template <typename W, Input In, Result Out>
__device__ void mat_vec(const MatVecArgs& a)
{
    float* scratch = (float*)shared_memory;
    float* x = scratch + WarpSize;
    let_next_start();

    int warps = grid_x() * StepWarps;
    int warp = block_x() * StepWarps + warp_index();
    Walk<W> ahead(a, warp), now = ahead;
    uint4 ring_a[Ring][Depth], ring_b[Ring][Depth];
#pragma unroll
    for (int i = 0; i < Ring - 1; i++)
    {
        if (ahead.inside())
        {
            ahead.fetch(ring_a[i], ring_b[i]);
            ahead.next(warps);
        }
    }

    wait_for_previous();
    float scale = load_input<W, In>(a, x, scratch);
    if (In == HeadsInput && block_x() == grid_x() - 1)
    {
        commit_cell(a.commit, thread_index(), thread_count());
    }

    float sum_a = 0, sum_b = 0;
    auto step = [&](uint4(&current_a)[Depth], uint4(&current_b)[Depth], uint4(&next_a)[Depth], uint4(&next_b)[Depth])
    {
        if (ahead.inside())
        {
            ahead.fetch(next_a, next_b);
            ahead.next(warps);
        }

        now.multiply(current_a, current_b, x, sum_a, sum_b);
        if (now.chunk == now.chunks - 1)
        {
            sum_a = warp_sum(sum_a) * scale;
            sum_b = warp_sum(sum_b) * scale;
            int row = 2 * now.pair + lane_index();
            if (lane_index() < 2 && row < a.rows)
            {
                float value = lane_index() == 0 ? sum_a : sum_b;
                float partner = sum_b;
                if (a.bias)
                {
                    value += a.bias[row];
                    partner += Out == SwiGluResult ? a.bias[2 * now.pair + 1] : 0.0f;
                }

                finish<Out>(a, row, value, partner);
            }

            sum_a = sum_b = 0;
        }

        now.next(warps);
    };

    while (now.inside())
    {
#pragma unroll
        for (int i = 0; i < Ring; i++)
        {
            if (now.inside())
            {
                step(ring_a[i], ring_b[i], ring_a[(i + Ring - 1) % Ring], ring_b[(i + Ring - 1) % Ring]);
            }
        }
    }

    if constexpr (In == NormInput && Out == StoreResult)
    {
        make_gates<W>(a, x, scale);
    }
}

#define MAT_VEC(name, weights, in, out) \
    extern "C" __global__ void LAUNCH_BOUNDS(StepThreads, 2) name(const MatVecArgs args) { mat_vec<weights, in, out>(args); }

MAT_VEC(step_qkvo_bf16, bf16, NormInput, StoreResult)
MAT_VEC(step_out_bf16, bf16, HeadsInput, AddResult)
MAT_VEC(step_up_bf16, bf16, NormInput, SwiGluResult)
MAT_VEC(step_down_bf16, bf16, PlainInput, AddResult)
MAT_VEC(step_logits_bf16, bf16, NormInput, CapResult)
MAT_VEC(step_logits_plain_bf16, bf16, PlainInput, CapResult)
MAT_VEC(step_qkvo_f32, float, NormInput, StoreResult)
MAT_VEC(step_out_f32, float, HeadsInput, AddResult)
MAT_VEC(step_up_f32, float, NormInput, SwiGluResult)
MAT_VEC(step_down_f32, float, PlainInput, AddResult)
MAT_VEC(step_logits_f32, float, NormInput, CapResult)
MAT_VEC(step_logits_plain_f32, float, PlainInput, CapResult)
