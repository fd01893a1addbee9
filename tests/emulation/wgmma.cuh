// Stands in for the kernels' header of the same name where they are emulated; see there for what each of these does.
#pragma once
#include "device.cuh"

__device__ ulong tile_descriptor(uint shared) { return (shared & 0x3FFFF) >> 4; }
__device__ void wgmma_begin() {}
__device__ void wgmma_commit() {}

/// The warp waits as one: what its lanes have read here, the tensor cores have read for all of them.
template <int Pending>
__device__ void wgmma_wait() { emulated_warp_meet(); }

/// Element k of a row of a tile: rows of 128 bytes, the 16 bytes within them by the swizzle of the copy engine.
inline float element_of_tile(ulong descriptor, int row, int k)
{
    uint place = ((uint)descriptor & 0x3FFF) * 16 + row * 128 + k * 2;
    return bits_to_float((uint) * (const bf16 *)(emulated_shared + (place ^ (place >> 7 & 7) << 4)) << 16);
}

template <int N>
inline void wgmma(float (&d)[N], ulong a, ulong b)
{
    int row = warp_index() % 4 * 16 + lane_index() / 4;
    for (int half = 0; half < 2; half++)
    {
        float of_a[16];
        for (int k = 0; k < 16; k++)
        {
            of_a[k] = element_of_tile(a, row + half * 8, k);
        }

        for (int i = 0; i < N / 2; i++)
        {
            int place = i / 2 * 4 + half * 2 + i % 2, col = i / 2 * 8 + lane_index() % 4 * 2 + i % 2;
            for (int k = 0; k < 16; k++)
            {
                d[place] += of_a[k] * element_of_tile(b, col, k);
            }
        }
    }
}
