// The products of one token of one sequence: a matrix times a vector, with everything around it fused in.
// Bound by memory: every kernel starts fetching its weights before the kernel in front of it has finished.
#include "step.cuh"

constexpr int StepThreads = 256;
constexpr int StepWarps = StepThreads / WarpSize;

/// Vectors of 16 bytes of each of a warp's two rows that a lane takes at a time, and how many such chunks are under way.
constexpr int Depth = 2;
constexpr int Ring = 4;

extern __shared__ float4 shared_memory[];

template <typename W> struct Layout;

template <> struct Layout<bf16>
{
    static constexpr int PerVector = 8;

    // Two halves, so that the lanes of a warp read 16 neighbouring bytes each and no two meet in a bank.
    __device__ static int position(int k, int cols) { return (k & 4) ? cols / 2 + k / 8 * 4 + (k & 3) : k / 8 * 4 + (k & 3); }

    __device__ static void multiply(const uint4& a, const uint4& b, const float* x, int vector, int cols, float& sum_a, float& sum_b)
    {
        float4 low = *(const float4*)(x + vector * 4);
        float4 high = *(const float4*)(x + cols / 2 + vector * 4);
        accumulate(a, low, high, sum_a);
        accumulate(b, low, high, sum_b);
    }

    __device__ static void accumulate(const uint4& w, const float4& low, const float4& high, float& sum)
    {
        sum = fma_of(low_half(w.x), low.x, sum);
        sum = fma_of(high_half(w.x), low.y, sum);
        sum = fma_of(low_half(w.y), low.z, sum);
        sum = fma_of(high_half(w.y), low.w, sum);
        sum = fma_of(low_half(w.z), high.x, sum);
        sum = fma_of(high_half(w.z), high.y, sum);
        sum = fma_of(low_half(w.w), high.z, sum);
        sum = fma_of(high_half(w.w), high.w, sum);
    }
};

template <> struct Layout<float>
{
    static constexpr int PerVector = 4;

    __device__ static int position(int k, int) { return k; }

    __device__ static void multiply(const uint4& a, const uint4& b, const float* x, int vector, int, float& sum_a, float& sum_b)
    {
        float4 v = *(const float4*)(x + vector * 4);
        accumulate(a, v, sum_a);
        accumulate(b, v, sum_b);
    }

    __device__ static void accumulate(const uint4& w, const float4& v, float& sum)
    {
        sum = fma_of(bits_to_float(w.x), v.x, sum);
        sum = fma_of(bits_to_float(w.y), v.y, sum);
        sum = fma_of(bits_to_float(w.z), v.z, sum);
        sum = fma_of(bits_to_float(w.w), v.w, sum);
    }
};

/// Four neighbours of a vector of n, zeros past its end; k is a multiple of 4.
__device__ float4 load_four(const float* p, int k, int n)
{
    if (k + 4 <= n)
    {
        return *(const float4*)(p + k);
    }

    return {k < n ? p[k] : 0.0f, k + 1 < n ? p[k + 1] : 0.0f, k + 2 < n ? p[k + 2] : 0.0f, 0.0f};
}

__device__ float4 multiply(const float4& a, const float4& b) { return {a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w}; }
__device__ float dot(const float4& a, const float4& b) { return fma_of(a.x, b.x, fma_of(a.y, b.y, fma_of(a.z, b.z, a.w * b.w))); }

/// Puts the input vector into shared memory and returns what every product with it is still to be multiplied by. Latency is
/// everything here: the loads of a thread are all under way at once.
template <typename W, Input Kind>
__device__ float load_input(const MatVecArgs& a, float* x, float* scratch)
{
    constexpr int Batch = 4;
    float scale = 1.0f;
    if constexpr (Kind == HeadsInput)
    {
        int dv = a.width / a.heads;
        for (int head = warp_index(); head < a.heads; head += StepWarps)
        {
            const float* h = a.x + head * dv;
            if (dv % 128 == 0 && dv <= 128 * Batch)
            {
                // The common head sizes: a whole head in a warp's registers.
                float4 values[Batch], gates[Batch], weights[Batch];
                float sum = 0;
#pragma unroll
                for (int i = 0; i < Batch; i++)
                {
                    int j = i * 128 + lane_index() * 4;
                    if (j < dv)
                    {
                        values[i] = *(const float4*)(h + j);
                        gates[i] = *(const float4*)(a.gate + head * dv + j);
                        weights[i] = *(const float4*)(a.norm + head * dv + j);
                    }
                }

#pragma unroll
                for (int i = 0; i < Batch; i++)
                {
                    sum += i * 128 < dv ? (values[i].x + values[i].y) + (values[i].z + values[i].w) : 0.0f;
                }

                float mean = warp_sum(sum) / dv, squares = 0;
#pragma unroll
                for (int i = 0; i < Batch; i++)
                {
                    float4 centred = {values[i].x - mean, values[i].y - mean, values[i].z - mean, values[i].w - mean};
                    squares += i * 128 < dv ? dot(centred, centred) : 0.0f;
                }

                HeadNorm norm = {mean, 1.0f / sqrt_of(warp_sum(squares) / dv + a.eps)};
#pragma unroll
                for (int i = 0; i < Batch; i++)
                {
                    int k = head * dv + i * 128 + lane_index() * 4;
                    if (i * 128 < dv)
                    {
                        float4 bias = {0, 0, 0, 0};
                        if (a.norm_bias)
                        {
                            bias = *(const float4*)(a.norm_bias + k);
                        }

                        float4 y = {
                            norm.apply(values[i].x, weights[i].x, bias.x) * sigmoid(gates[i].x), norm.apply(values[i].y, weights[i].y, bias.y) * sigmoid(gates[i].y),
                            norm.apply(values[i].z, weights[i].z, bias.z) * sigmoid(gates[i].z), norm.apply(values[i].w, weights[i].w, bias.w) * sigmoid(gates[i].w)};
                        *(float4*)(x + Layout<W>::position(k, a.cols)) = y;
                    }
                }

                continue;
            }

            HeadNorm norm = head_norm(h, dv, a.eps);
            for (int j = lane_index(); j < dv; j += WarpSize)
            {
                int k = head * dv + j;
                x[Layout<W>::position(k, a.cols)] = norm.apply(a.x[k], a.norm[k], a.norm_bias ? a.norm_bias[k] : 0.0f) * sigmoid(a.gate[k]);
            }
        }

        for (int k = a.width + thread_index(); k < a.cols; k += StepThreads)
        {
            x[Layout<W>::position(k, a.cols)] = 0.0f;
        }
    }
    else
    {
        float squares = 0;
        for (int base = thread_index() * 4; base < a.cols; base += Batch * StepThreads * 4)
        {
            float4 values[Batch], weights[Batch];
#pragma unroll
            for (int i = 0; i < Batch; i++)
            {
                int k = base + i * StepThreads * 4;
                if (k < a.cols)
                {
                    values[i] = load_four(a.x, k, a.width);
                    if constexpr (Kind == NormInput)
                    {
                        weights[i] = load_four(a.norm, k, a.width);
                    }
                }
            }

#pragma unroll
            for (int i = 0; i < Batch; i++)
            {
                int k = base + i * StepThreads * 4;
                if (k < a.cols)
                {
                    if constexpr (Kind == NormInput)
                    {
                        squares += dot(values[i], values[i]);
                        values[i] = multiply(values[i], weights[i]);
                    }

                    *(float4*)(x + Layout<W>::position(k, a.cols)) = values[i];
                }
            }
        }

        if constexpr (Kind == NormInput)
        {
            scale = 1.0f / sqrt_of(block_sum(squares, scratch) / a.width + a.eps);
            if (a.norm_bias)
            {
                for (int k = thread_index(); k < a.width; k += StepThreads)
                {
                    int position = Layout<W>::position(k, a.cols);
                    x[position] = fma_of(x[position], scale, a.norm_bias[k]);
                }

                scale = 1.0f;
                __syncthreads();
            }

            return scale; // block_sum has a barrier behind the stores
        }
    }

    __syncthreads();
    return scale;
}

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
        // The gates go to the last warps, which have the fewest rows.
        for (int row = warps - 1 - warp; row < a.gate_rows; row += warps)
        {
            float sum = 0;
            const float* weights = a.gate_weights + (long)row * a.cols;
            for (int base = lane_index() * 4; base < a.cols; base += 8 * WarpSize * 4)
            {
                uint4 w[8];
#pragma unroll
                for (int i = 0; i < 8; i++)
                {
                    int k = base + i * WarpSize * 4;
                    if (k < a.cols)
                    {
                        w[i] = load_streaming(weights + k);
                    }
                }

#pragma unroll
                for (int i = 0; i < 8; i++)
                {
                    int k = base + i * WarpSize * 4;
                    if (k < a.cols)
                    {
                        // Four neighbours stay together in either layout.
                        Layout<float>::accumulate(w[i], *(const float4*)(x + Layout<W>::position(k, a.cols)), sum);
                    }
                }
            }

            sum = warp_sum(sum) * scale;
            if (lane_index() == 0)
            {
                a.gate_out[row] = sum + a.gate_bias[row];
            }
        }
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
