// Tensor core products of one warp.
#pragma once
#include "device.cuh"

/// A fragment of N values for tf32 products: rounded, and for exact products what the rounding took away as well.
template <int N, bool Exact> struct Fragment
{
    uint high[N];
    uint low[N];

    __device__ void set(int i, float value)
    {
        high[i] = to_tf32(value);
        if constexpr (Exact)
        {
            low[i] = to_tf32(value - bits_to_float(high[i]));
        }
    }
};

/// d += a b for a [16, 8], b [8, 8]; exact: three products, which lose what float32 loses.
template <bool Exact>
__device__ void mma(float (&d)[4], const Fragment<4, Exact>& a, const Fragment<2, Exact>& b)
{
    if constexpr (Exact)
    {
        mma_tf32(d, a.low, b.high);
        mma_tf32(d, a.high, b.low);
    }

    mma_tf32(d, a.high, b.high);
}
