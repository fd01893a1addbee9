// Stands in for the kernels' header of the same name where they are emulated; see there for what each of these does.
#pragma once
#include "emulator.h"
#include <cmath>
#include <cstring>

#define __global__
#define __device__ inline __attribute__((always_inline))
#define __shared__ static
#define LAUNCH_BOUNDS(threads, blocks)

typedef unsigned char byte;
typedef unsigned short bf16;
typedef unsigned int uint;
typedef unsigned long long emulated_ulong;
#define ulong emulated_ulong // the C library has another of the name

struct alignas(16) uint4 { uint x, y, z, w; };
struct alignas(8) uint2 { uint x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) float2 { float x, y; };

constexpr int WarpSize = 32;

__device__ int thread_index() { return emulated_self->index; }
__device__ int thread_count() { return emulated_self->count; }
__device__ int block_x() { return emulated_self->block[0]; }
__device__ int block_y() { return emulated_self->block[1]; }
__device__ int block_z() { return emulated_self->block[2]; }
__device__ int grid_x() { return emulated_self->grid[0]; }
__device__ int grid_y() { return emulated_self->grid[1]; }
__device__ int lane_index() { return thread_index() & (WarpSize - 1); }
__device__ int warp_index() { return thread_index() / WarpSize; }

__device__ void wait_for_previous() { emulated_wait_for_previous(); }
__device__ void let_next_start() {}

__device__ void __syncthreads() { emulated_barrier(0, emulated_live()); }
__device__ int count_threads(bool condition) { return emulated_barrier(0, emulated_live(), condition); }
__device__ void warp_meet() { emulated_warp_meet(); }

__device__ float bits_to_float(uint bits) { return __builtin_bit_cast(float, bits); }
__device__ uint float_to_bits(float value) { return __builtin_bit_cast(uint, value); }
__device__ float sqrt_of(float a) { return sqrtf(a); }
__device__ float power_of_two(float x) { return exp2f(x); }
__device__ float flushed_power_of_two(float x) { return exp2f(x); }
__device__ float fast_reciprocal(float a) { return 1.0f / a; }
__device__ float fast_inverse_root(float a) { return 1.0f / sqrtf(a); }
__device__ float half_to_float(bf16 half) { return (float)__builtin_bit_cast(_Float16, half); }

__device__ bf16 round_to_bf16(float value)
{
    uint bits = float_to_bits(value);
    return value != value ? 0x7FFF : (bf16)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

__device__ uint pack_bf16(float low, float high) { return round_to_bf16(low) | (uint)round_to_bf16(high) << 16; }

__device__ uint lane_word(uint word, int lane) { return emulated_exchange(&word, 1)[lane][0]; }
__device__ float shuffle_xor(float value, int mask) { return bits_to_float(lane_word(float_to_bits(value), lane_index() ^ mask)); }
__device__ int shuffle_xor(int value, int mask) { return (int)lane_word((uint)value, lane_index() ^ mask); }
__device__ float shuffle_from(float value, int lane) { return bits_to_float(lane_word(float_to_bits(value), lane)); }
__device__ int shuffle_up(int value, int delta) { return (int)lane_word((uint)value, lane_index() >= delta ? lane_index() - delta : lane_index()); }

__device__ int dot_signed(uint a, uint b, int sum)
{
    for (int i = 0; i < 32; i += 8)
    {
        sum += (int)(signed char)(a >> i) * (signed char)(b >> i);
    }

    return sum;
}

__device__ uint pick_bytes(uint low, uint high, uint selector)
{
    ulong both = (ulong)high << 32 | low;
    uint result = 0;
    for (int i = 0; i < 4; i++)
    {
        result |= (uint)(byte)(both >> (selector >> 4 * i & 7) * 8) << 8 * i;
    }

    return result;
}

__device__ void atomic_min(ulong *place, ulong value)
{
    ulong seen = __atomic_load_n(place, __ATOMIC_RELAXED);
    while (value < seen && !__atomic_compare_exchange_n(place, &seen, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    {
    }
}

__device__ int atomic_add(int *place, int value) { return __atomic_fetch_add(place, value, __ATOMIC_RELAXED); }
__device__ void fence_device() {}
__device__ uint arrive_in_memory(uint *counter) { return __atomic_fetch_add(counter, 1u, __ATOMIC_SEQ_CST); }
__device__ float4 load_of_others(const float *p) { return *(const float4 *)p; }
__device__ uint4 load_streaming(const void *p) { return *(const uint4 *)p; }
__device__ uint4 load_global(const void *p) { return *(const uint4 *)p; }
__device__ void store_global(void *p, const uint4 &v) { *(uint4 *)p = v; }

__device__ uint shared_address(const void *p) { return (uint)((const byte *)p - emulated_shared); }

__device__ void copy_async_16(void *shared, const void *global, bool valid)
{
    memset(shared, 0, 16);
    if (valid)
    {
        memcpy(shared, global, 16);
    }
}

__device__ void copy_async_commit() {}

template <int Pending>
__device__ void copy_async_wait() {}

/// d += a b, a [16, K], b [K, 8], PerWord neighbours in k to a register: what all of mma's shapes have in common is which lane and register of the
/// warp have an element. element: takes a register and a place in it.
template <int K, int PerWord, typename T, typename F>
__device__ void mma_of_fragments(T (&d)[4], const uint (&a)[4], uint b0, uint b1, F element)
{
    uint words[6] = {a[0], a[1], a[2], a[3], b0, b1};
    auto all = emulated_exchange(words, 6);
    for (int i = 0; i < 4; i++)
    {
        int row = lane_index() / 4 + i / 2 * 8, col = lane_index() % 4 * 2 + i % 2;
        for (int k = 0; k < K; k++)
        {
            int half = k / (K / 2), lane = k % (K / 2) / PerWord;
            d[i] += element(all[row % 8 * 4 + lane][row / 8 + half * 2], k % PerWord) * element(all[col * 4 + lane][4 + half], k % PerWord);
        }
    }
}

__device__ void mma_bf16(float (&d)[4], const uint (&a)[4], uint b0, uint b1)
{
    mma_of_fragments<16, 2>(d, a, b0, b1, [](uint word, int place) { return bits_to_float(word >> place * 16 << 16); });
}

__device__ void mma_tf32(float (&d)[4], const uint (&a)[4], const uint (&b)[2])
{
    mma_of_fragments<8, 1>(d, a, b[0], b[1], [](uint word, int) { return bits_to_float(word & ~0x1FFFu); });
}

__device__ void mma_bytes(int (&d)[4], const uint (&a)[4], uint2 b, int c)
{
    for (int &sum : d)
    {
        sum = c;
    }

    mma_of_fragments<32, 4>(d, a, b.x, b.y, [](uint word, int place) { return (int)(signed char)(word >> place * 8); });
}

__device__ uint to_tf32(float value) { return (float_to_bits(value) + 0x1000) & ~0x1FFFu; }

__device__ void load_matrices(uint (&r)[4], uint shared)
{
    auto all = emulated_exchange(&shared, 1);
    for (int i = 0; i < 4; i++)
    {
        r[i] = *(const uint *)(emulated_shared + all[i * 8 + lane_index() / 4][0] + lane_index() % 4 * 4);
    }
}

__device__ void load_matrices_transposed(uint (&r)[4], uint shared)
{
    auto all = emulated_exchange(&shared, 1);
    auto element = [&](int matrix, int row) { return (uint) * (const bf16 *)(emulated_shared + all[matrix * 8 + row][0] + lane_index() / 4 * 2); };
    for (int i = 0; i < 4; i++)
    {
        r[i] = element(i, lane_index() % 4 * 2) | element(i, lane_index() % 4 * 2 + 1) << 16;
    }
}
