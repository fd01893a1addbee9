// What the cell's kernels and the kernels around them share. The cell: see CPU's MlstmCell and docs/cuda.md.
#pragma once
#include "device.cuh"

/// One sequence's share of a batch.
struct CellItem
{
    float* state;  // block by block C[H][dqk][dv] in float32 or bfloat16, then n[H][dqk], m[H]; null: a row that nobody has taken
    int first_row; // of its tokens among the batch's rows
    int tokens;
};

/// Floats from a block's start to its n: C, stored as S, fills whole 16 bytes.
template <typename S>
__device__ long vectors_offset(int heads, int dqk, int dv) { return ((long)heads * dqk * dv * sizeof(S) + 15) / 16 * 4; }

/// n and m of a block are read by many blocks of threads of the cell's kernel, so that kernel cannot write them: it leaves
/// them beside the state, and a later kernel puts them in.
struct CellCommit
{
    const CellItem* items;
    const float* new_n; // [items, H, dqk]
    const float* new_m; // [items, H]
    long n_offset;      // floats from a state's start to this block's n; m follows n
    int count;          // items
    int heads;          // 0: nothing to do
    int dqk;
};

/// An item's element of n and, behind it, m.
__device__ float committed(const CellCommit& c, int item, int j)
{
    int of_n = c.heads * c.dqk;
    return j < of_n ? c.new_n[(long)item * of_n + j] : c.new_m[item * c.heads + j - of_n];
}

__device__ void commit_item(const CellCommit& c, int item, int thread, int threads)
{
    float* state = c.items[item].state;
    int elements = c.heads * (c.dqk + 1);
    for (int j = thread; j < elements && state; j += threads)
    {
        state[c.n_offset + j] = committed(c, item, j);
    }
}

/// A block of threads' share of the first item's n and m. A thread's first element is fetched early and stored at the end, so that nothing waits
/// for it; there are more only where few blocks of threads share many.
struct CommitShare
{
    float* n; // m behind it
    uint index = 0, end = 0;
    float first;

    __device__ void fetch(const CellCommit& c, int thread)
    {
        uint elements = c.heads * (c.dqk + 1);
        index = elements * (uint)block_x() / (uint)grid_x() + thread;
        end = elements * (uint)(block_x() + 1) / (uint)grid_x();
        if (index < end)
        {
            n = c.items[0].state + c.n_offset;
            first = committed(c, 0, index);
        }
    }

    __device__ void store(const CellCommit& c, int threads) const
    {
        for (uint j = index; j < end; j += threads)
        {
            n[j] = j == index ? first : committed(c, 0, j);
        }
    }
};

__device__ void commit_cell(const CellCommit& c, int thread, int threads)
{
    for (int item = 0; item < c.count && c.heads > 0; item++)
    {
        commit_item(c, item, thread, threads);
    }
}

struct CellScalars
{
    float m; // the new stabilizer
    float a; // decay of the old state
    float b; // weight of the new k v^T
};

/// The scalars of one step. In double where it counts: an open forget gate decays by 1e-7 a step, which float32 would round
/// away from m and from a alike; a and b are taken against the rounded m, so nothing is lost by that rounding.
__device__ CellScalars cell_scalars(float i, float f, float m, float cap)
{
    i = soft_cap(i, cap);
    double decayed = (double)log_sigmoid(soft_cap(f, cap)) + m;
    float next = (float)(decayed > i ? decayed : (double)i);
    return {next, exp_of((float)(decayed - next)), exp_of((float)((double)i - next))};
}

struct HeadNorm
{
    float mean;
    float scale;

    __device__ float apply(float h, float weight, float bias) const { return fma_of((h - mean) * scale, weight, bias); }
};

/// multihead_norm's statistics of one head, by one warp: mean and biased variance.
__device__ HeadNorm head_norm(const float* h, int dv, float eps)
{
    float sum = 0;
    for (int j = lane_index(); j < dv; j += WarpSize)
    {
        sum += h[j];
    }

    float mean = warp_sum(sum) / dv;
    float squares = 0;
    for (int j = lane_index(); j < dv; j += WarpSize)
    {
        float centred = h[j] - mean;
        squares = fma_of(centred, centred, squares);
    }

    return {mean, 1.0f / sqrt_of(warp_sum(squares) / dv + eps)};
}
