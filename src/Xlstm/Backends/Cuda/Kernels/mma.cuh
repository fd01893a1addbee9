// Tensor core products of one warp.
#pragma once
#include "device.cuh"

/// d += a b; a [16, 16] row-major, b [16, 8], fragments as PTX's mma.m16n8k16 has them.
__device__ void mma_bf16(float (&d)[4], const uint (&a)[4], uint b0, uint b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ void mma_tf32(float (&d)[4], const uint (&a)[4], const uint (&b)[2])
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ uint to_tf32(float value)
{
    uint result;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(result) : "f"(value));
    return result;
}

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

__device__ void load_matrices(uint (&r)[4], uint shared)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared) : "memory");
}
