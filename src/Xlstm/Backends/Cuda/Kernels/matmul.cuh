// What the matrix products over many rows share: their arguments and what becomes of the sums.
#pragma once
#include "device.cuh"

struct MatMulArgs
{
    const void* input;   // [T, cols], rows padded with zeros
    const void* weights; // [rows, cols]
    const float* bias;   // [rows] or null
    void* out;           // [T, ld]
    int tokens;          // T
    int rows;
    int cols;            // padded: a multiple of 64
    int ld;
    float cap;
};

enum Result { StoreResult, StoreHalfResult, AddResult, SwiGluResult, CapResult };

/// Two neighbouring outputs of one token: rows row and row + 1 of the weights, row even.
template <typename A, Result Kind>
__device__ void finish(const MatMulArgs& a, int token, int row, float first, float second)
{
    if (token >= a.tokens || row >= a.rows)
    {
        return;
    }

    bool both = row + 1 < a.rows;
    if (a.bias)
    {
        first += a.bias[row];
        second += both ? a.bias[row + 1] : 0.0f;
    }

    if constexpr (Kind == SwiGluResult)
    {
        store_value((A*)a.out + (long)token * a.ld + row / 2, first * sigmoid(first) * second);
    }
    else if constexpr (Kind == StoreHalfResult)
    {
        // Only for matrices of an even number of rows.
        *(uint*)((bf16*)a.out + (long)token * a.ld + row) = pack_bf16(first, second);
    }
    else
    {
        float* out = (float*)a.out + (long)token * a.ld + row;
        if (both && (a.ld & 1) == 0 && Kind != CapResult)
        {
            float2* pair = (float2*)out;
            float2 old = Kind == AddResult ? *pair : float2{0, 0};
            *pair = {first + old.x, second + old.y};
            return;
        }

        if constexpr (Kind == CapResult)
        {
            first = soft_cap(first, a.cap);
            second = soft_cap(second, a.cap);
        }
        else if constexpr (Kind == AddResult)
        {
            first += out[0];
            second += both ? out[1] : 0.0f;
        }

        out[0] = first;
        if (both)
        {
            out[1] = second;
        }
    }
}
