// What the products of a step share: their arguments and what becomes of a sum.
#pragma once
#include "cell.cuh"
#include "device.cuh"

struct MatVecArgs
{
    const void* weights;     // [rows, cols], 16-byte aligned rows
    const float* bias;       // [rows] or null
    const float* x;          // input [width]: the residual stream, h, or silu(gate) up
    const float* gate;       // ogate preactivation [width], heads only
    const float* norm;       // norm's weight [width]
    const float* norm_bias;  // [width] or null
    float* out;              // [rows]; [rows / 2] for silu(gate) up
    const float* gate_weights; // i then f [gate_rows, cols] float32, or null
    const float* gate_bias;
    float* gate_out;         // [gate_rows]
    CellCommit commit;       // of the cell before this kernel; nothing if commit.heads is 0
    int rows;
    int cols;                // padded: a multiple of 64
    int width;               // columns that count
    int heads;
    int gate_rows;
    float eps;
    float cap;
};

enum Input { NormInput, HeadsInput, PlainInput };
enum Result { StoreResult, AddResult, SwiGluResult, CapResult };

template <Result Kind>
__device__ void finish(const MatVecArgs& a, int row, float value, float partner)
{
    if constexpr (Kind == StoreResult)
    {
        a.out[row] = value;
    }
    else if constexpr (Kind == AddResult)
    {
        a.out[row] += value;
    }
    else if constexpr (Kind == CapResult)
    {
        a.out[row] = soft_cap(value, a.cap);
    }
    else if ((row & 1) == 0)
    {
        a.out[row / 2] = value * sigmoid(value) * partner;
    }
}
