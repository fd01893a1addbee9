// Arithmetic and sums that many kernels need.
#pragma once
#include "intrinsics.cuh"

__device__ float min_of(float a, float b) { return a < b ? a : b; }
__device__ float max_of(float a, float b) { return a > b ? a : b; }
__device__ int min_of(int a, int b) { return a < b ? a : b; }
__device__ float abs_of(float a) { return __builtin_fabsf(a); }
__device__ float fma_of(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

/// e^x within a few ulp: the part of x log2(e) that ex2.approx would lose is put back.
__device__ float exp_of(float x)
{
    const float log2e = 1.4426950408889634f;
    float high = x * log2e;
    float low = fma_of(x, log2e, -high) + x * 1.925963033e-8f;
    float power = power_of_two(high);
    float exact = fma_of(power, low * 0.6931471805599453f, power);
    return x < -103.0f ? 0.0f : x > 88.72f ? power : exact; // past these, infinities would make NaN of it
}

/// log(1 + e) for 0 <= e <= 1, with small relative error for small e: 2 artanh(e / (2 + e)).
__device__ float log1p_of(float e)
{
    float z = e / (2.0f + e);
    float s = z * z;
    float series = 1.0f / 17.0f;
    series = fma_of(series, s, 1.0f / 15.0f);
    series = fma_of(series, s, 1.0f / 13.0f);
    series = fma_of(series, s, 1.0f / 11.0f);
    series = fma_of(series, s, 1.0f / 9.0f);
    series = fma_of(series, s, 1.0f / 7.0f);
    series = fma_of(series, s, 1.0f / 5.0f);
    series = fma_of(series, s, 1.0f / 3.0f);
    return 2.0f * fma_of(z * s, series, z);
}

__device__ float log_sigmoid(float z) { return min_of(z, 0.0f) - log1p_of(exp_of(-abs_of(z))); }

__device__ float sigmoid(float z) { return 1.0f / (1.0f + exp_of(-z)); }

/// Within 1e-6, in a fifth of the instructions.
__device__ float fast_sigmoid(float z) { return fast_reciprocal(1.0f + flushed_power_of_two(-1.4426950408889634f * z)); }

__device__ float tanh_of(float x)
{
    float a = abs_of(x);
    if (a < 0.3f)
    {
        float s = x * x;
        float series = -1382.0f / 155925.0f;
        series = fma_of(series, s, 62.0f / 2835.0f);
        series = fma_of(series, s, -17.0f / 315.0f);
        series = fma_of(series, s, 2.0f / 15.0f);
        series = fma_of(series, s, -1.0f / 3.0f);
        return fma_of(x * s, series, x);
    }

    float t = a > 20.0f ? 1.0f : 1.0f - 2.0f / (exp_of(2.0f * a) + 1.0f);
    return x < 0.0f ? -t : t;
}

/// Soft cap c tanh(z / c); a cap of 0 is no cap.
__device__ float soft_cap(float z, float cap) { return cap > 0.0f ? cap * tanh_of(z / cap) : z; }

__device__ float widen(bf16 value) { return bits_to_float((uint)value << 16); }
__device__ float widen(float value) { return value; }
__device__ float low_half(uint pair) { return bits_to_float(pair << 16); }
__device__ float high_half(uint pair) { return bits_to_float(pair & 0xFFFF0000u); }

__device__ void store_value(bf16* p, float value) { *p = round_to_bf16(value); }
__device__ void store_value(float* p, float value) { *p = value; }

/// The sum over a warp, in every lane.
__device__ float warp_sum(float value)
{
#pragma unroll
    for (int mask = WarpSize / 2; mask > 0; mask /= 2)
    {
        value += shuffle_xor(value, mask);
    }

    return value;
}

/// The sum over a block, in every thread. scratch: float[32], free again after the next barrier.
__device__ float block_sum(float value, float* scratch)
{
    value = warp_sum(value);
    if (lane_index() == 0)
    {
        scratch[warp_index()] = value;
    }

    __syncthreads();
    float sum = 0;
    for (int warp = 0; warp < thread_count() / WarpSize; warp++)
    {
        sum += scratch[warp];
    }

    return sum;
}
