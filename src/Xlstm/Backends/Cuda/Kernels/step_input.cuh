// The input of a step's products, put into shared memory by a block of threads.
#pragma once
#include "step.cuh"

constexpr int StepThreads = 256;
constexpr int StepWarps = StepThreads / WarpSize;

/// How a vector of 16 bytes of weights W meets the input: its elements' order there, and the products.
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

/// The i and f preactivations, a row a warp: the last warps, which have the fewest rows.
template <typename W>
__device__ void make_gates(const MatVecArgs& a, const float* x, float scale)
{
    int warps = grid_x() * StepWarps, warp = block_x() * StepWarps + warp_index();
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
