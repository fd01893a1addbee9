// The little of CUDA C++ that the kernels need, for plain clang without NVIDIA's headers.
#pragma once

#define __global__ __attribute__((global))
#define __device__ __attribute__((device)) inline __attribute__((always_inline))
#define __shared__ __attribute__((shared))
#define LAUNCH_BOUNDS(threads, blocks) __attribute__((launch_bounds(threads, blocks)))

typedef unsigned char byte;
typedef unsigned short bf16; // the upper half of a float32
typedef unsigned int uint;
typedef unsigned long long ulong;

struct alignas(16) uint4 { uint x, y, z, w; };
struct alignas(8) uint2 { uint x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) float2 { float x, y; };

constexpr int WarpSize = 32;

__device__ int thread_index() { return __nvvm_read_ptx_sreg_tid_x(); }
__device__ int thread_count() { return __nvvm_read_ptx_sreg_ntid_x(); }
__device__ int block_x() { return __nvvm_read_ptx_sreg_ctaid_x(); }
__device__ int block_y() { return __nvvm_read_ptx_sreg_ctaid_y(); }
__device__ int block_z() { return __nvvm_read_ptx_sreg_ctaid_z(); }
__device__ int grid_x() { return __nvvm_read_ptx_sreg_nctaid_x(); }
__device__ int grid_y() { return __nvvm_read_ptx_sreg_nctaid_y(); }
__device__ int lane_index() { return thread_index() & (WarpSize - 1); }
__device__ int warp_index() { return thread_index() / WarpSize; }

// Programmatic dependent launch (compute capability 9.0): a kernel may start, and fetch weights, while the one before it in
// the stream is still running; what that one wrote may be touched only after wait_for_previous().
__device__ void wait_for_previous()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ void let_next_start()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

__device__ float min_of(float a, float b) { return a < b ? a : b; }
__device__ float max_of(float a, float b) { return a > b ? a : b; }
__device__ int min_of(int a, int b) { return a < b ? a : b; }
__device__ float abs_of(float a) { return __builtin_fabsf(a); }
__device__ float fma_of(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
__device__ float bits_to_float(uint bits) { return __builtin_bit_cast(float, bits); }
__device__ uint float_to_bits(float value) { return __builtin_bit_cast(uint, value); }
__device__ float sqrt_of(float a) { return __nvvm_sqrt_rn_f(a); }

/// e^x within a few ulp: the part of x log2(e) that ex2.approx would lose is put back.
__device__ float exp_of(float x)
{
    const float log2e = 1.4426950408889634f;
    float high = x * log2e;
    float low = fma_of(x, log2e, -high) + x * 1.925963033e-8f;
    float power = __nvvm_ex2_approx_f(high);
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

/// Within 2e-7, without the many instructions of exact division.
__device__ float fast_reciprocal(float a) { return __nvvm_rcp_approx_ftz_f(a); }

/// 1 / sqrt(a), within 2e-7.
__device__ float fast_inverse_root(float a) { return __nvvm_rsqrt_approx_ftz_f(a); }

/// Within 1e-6, in a fifth of the instructions.
__device__ float fast_sigmoid(float z) { return fast_reciprocal(1.0f + __nvvm_ex2_approx_ftz_f(-1.4426950408889634f * z)); }

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

/// Rounds to nearest even.
__device__ bf16 round_to_bf16(float value)
{
    bf16 result;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result) : "f"(value));
    return result;
}

/// low in the lower half.
__device__ uint pack_bf16(float low, float high)
{
    uint result;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
    return result;
}

__device__ void store_value(bf16* p, float value) { *p = round_to_bf16(value); }
__device__ void store_value(float* p, float value) { *p = value; }

__device__ float shuffle_xor(float value, int mask) { return __nvvm_shfl_sync_bfly_f32(0xFFFFFFFFu, value, mask, 0x1F); }
__device__ int shuffle_xor(int value, int mask) { return __nvvm_shfl_sync_bfly_i32(0xFFFFFFFFu, value, mask, 0x1F); }

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

/// 16 bytes that are read once: they should not push anything out of the L1.
__device__ uint4 load_streaming(const void* p)
{
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
    return v;
}

/// 16 bytes that are read and written.
__device__ uint4 load_global(const void* p)
{
    uint4 v;
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p) : "memory");
    return v;
}

__device__ void store_global(void* p, const uint4& v)
{
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}

__device__ uint shared_address(const void* p) { return (uint)(ulong)(__attribute__((address_space(3))) const void*)p; }

__device__ void copy_async_16(void* shared, const void* global, bool valid)
{
    // With a source size of 0 the 16 bytes become zero.
    int bytes = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(bytes) : "memory");
}

__device__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int Pending>
__device__ void copy_async_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory"); }
