// What the products of a step share: their arguments and what becomes of a sum.
#pragma once
#include "cell.cuh"
#include "device.cuh"

/// The weights of the product after this one, which is to find its first ones in the L2.
struct NextWeights
{
    const byte* address;
    long bytes;
    int halves; // 2 where a block of threads walks both halves side by side: gate and up
    int share;  // bytes for each block of threads
};

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
    NextWeights next;        // address null: nothing
    int rows;
    int cols;                // padded: a multiple of 64
    int width;               // columns that count
    int heads;
    int gate_rows;
    float eps;
    float cap;
};

/// Where a block of threads' share of things begins. In 32 bits, for a division of 64 takes longer than memory: up to 2^32 things
/// times blocks.
__device__ int share_start(int things, int block) { return (uint)things * (uint)block / (uint)grid_x(); }

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
