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

/// Two neighbouring outputs of one token, where both exist and rows of the output start at a whole pair: rows row and row + 1 of the weights, row even.
template <typename A, Result Kind>
__device__ void put_pair(const MatMulArgs& a, int token, int row, float first, float second)
{
    if constexpr (Kind == SwiGluResult)
    {
        store_value((A*)a.out + (long)token * a.ld + row / 2, first * sigmoid(first) * second);
    }
    else if constexpr (Kind == StoreHalfResult)
    {
        *(uint*)((bf16*)a.out + (long)token * a.ld + row) = pack_bf16(first, second);
    }
    else
    {
        float2* pair = (float2*)((float*)a.out + (long)token * a.ld + row);
        if constexpr (Kind == AddResult)
        {
            float2 old = *pair;
            *pair = {first + old.x, second + old.y};
        }
        else if constexpr (Kind == CapResult)
        {
            *pair = {soft_cap(first, a.cap), soft_cap(second, a.cap)};
        }
        else
        {
            *pair = {first, second};
        }
    }
}

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

    if constexpr (Kind == SwiGluResult || Kind == StoreHalfResult)
    {
        put_pair<A, Kind>(a, token, row, first, second); // always an even number of rows
    }
    else if (both && (a.ld & 1) == 0)
    {
        put_pair<A, Kind>(a, token, row, first, second);
    }
    else
    {
        float* out = (float*)a.out + (long)token * a.ld + row;
        for (int i = 0; i < 1 + both; i++)
        {
            float value = i == 0 ? first : second;
            out[i] = Kind == AddResult ? out[i] + value : Kind == CapResult ? soft_cap(value, a.cap) : value;
        }
    }
}
