// What stands between the matrix products of a batch of rows: embeddings, norms, gates, the choice of greedy tokens.
#include "cell.cuh"
#include "device.cuh"

constexpr int Threads = 256;
constexpr int Warps = Threads / WarpSize;

extern __shared__ float shared_memory[];

struct EmbedArgs
{
    const void* embeddings; // [V, cols]
    const int* ids;         // [T]
    float* x;               // [T, width]
    int cols;
    int width;
};

template <typename W>
__device__ void embed(const EmbedArgs& a)
{
    let_next_start();
    wait_for_previous();
    const W* source = (const W*)a.embeddings + (long)a.ids[block_x()] * a.cols;
    for (int k = thread_index(); k < a.width; k += Threads)
    {
        a.x[(long)block_x() * a.width + k] = widen(source[k]);
    }
}

extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) embed_bf16(const EmbedArgs a) { embed<bf16>(a); }
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) embed_f32(const EmbedArgs a) { embed<float>(a); }

struct NormRowsArgs
{
    const float* x;            // [*, width]
    const int* row_of;         // [grid x] rows to take, or null for all
    const float* norm;         // [width]; null copies
    const float* norm_bias;    // [width] or null
    void* out;                 // [T, cols], padded with zeros
    const float* gate_weights; // i then f [gate_rows, cols], or null
    const float* gate_bias;    // [gate_rows]
    float* gate_out;           // [T, gate_rows]
    int width;
    int cols;
    int gate_rows;
    float eps;
};

/// RMSNorm of a row a block, and from it the row's i and f preactivations, which stay float32.
template <typename A>
__device__ void norm_rows(const NormRowsArgs& a)
{
    float* scratch = shared_memory;
    float* row = scratch + WarpSize; // [cols]
    int thread = thread_index();
    let_next_start();
    wait_for_previous();
    const float* x = a.x + (long)(a.row_of ? a.row_of[block_x()] : block_x()) * a.width;
    float squares = 0;
#pragma unroll 4
    for (int k = thread; k < a.cols; k += Threads)
    {
        float value = k < a.width ? x[k] : 0.0f;
        squares = fma_of(value, value, squares);
        row[k] = value;
    }

    float scale = a.norm ? 1.0f / sqrt_of(block_sum(squares, scratch) / a.width + a.eps) : 1.0f;
    A* out = (A*)a.out + (long)block_x() * a.cols;
    for (int k = thread; k < a.cols; k += Threads)
    {
        float value = row[k];
        if (a.norm && k < a.width)
        {
            value = value * scale * a.norm[k] + (a.norm_bias ? a.norm_bias[k] : 0.0f);
            row[k] = value;
        }

        store_value(out + k, value);
    }

    __syncthreads();
    for (int gate = warp_index(); gate < a.gate_rows; gate += Warps)
    {
        const float* weights = a.gate_weights + (long)gate * a.cols;
        float sum = 0;
#pragma unroll 4
        for (int k = lane_index() * 4; k < a.cols; k += WarpSize * 4)
        {
            float4 w = *(const float4*)(weights + k);
            float4 v = *(const float4*)(row + k);
            sum = fma_of(w.x, v.x, fma_of(w.y, v.y, fma_of(w.z, v.z, fma_of(w.w, v.w, sum))));
        }

        sum = warp_sum(sum);
        if (lane_index() == 0)
        {
            a.gate_out[(long)block_x() * a.gate_rows + gate] = sum + a.gate_bias[gate];
        }
    }
}

extern "C" __global__ void LAUNCH_BOUNDS(Threads, 4) norm_rows_bf16(const NormRowsArgs a) { norm_rows<bf16>(a); }
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 4) norm_rows_f32(const NormRowsArgs a) { norm_rows<float>(a); }

struct HeadRowsArgs
{
    const float* h;         // [T, width]
    const void* gate;       // ogate preactivation of the first row, in rows of gate_ld
    const float* norm;      // [width]
    const float* norm_bias; // [width] or null
    void* out;              // [T, cols], padded with zeros
    CellCommit commit;
    int width;
    int cols;
    int gate_ld;
    int heads;
    float eps;
};

/// sigmoid(o) multihead_norm(h) of a row a block; the last block also puts n and m into the states.
template <typename A, typename G>
__device__ void head_rows(const HeadRowsArgs& a)
{
    let_next_start();
    wait_for_previous();
    long token = block_x();
    if (token == grid_x() - 1)
    {
        commit_cell(a.commit, thread_index(), thread_count());
    }

    A* out = (A*)a.out + token * a.cols;
    int dv = a.width / a.heads;
    for (int head = warp_index(); head < a.heads; head += Warps)
    {
        const float* h = a.h + token * a.width + head * dv;
        HeadNorm norm = head_norm(h, dv, a.eps);
        for (int j = lane_index(); j < dv; j += WarpSize)
        {
            int k = head * dv + j;
            float value = norm.apply(h[j], a.norm[k], a.norm_bias ? a.norm_bias[k] : 0.0f);
            store_value(out + k, value * sigmoid(widen(((const G*)a.gate)[token * a.gate_ld + k])));
        }
    }

    for (int k = a.width + thread_index(); k < a.cols; k += Threads)
    {
        store_value(out + k, 0.0f);
    }
}

extern "C" __global__ void LAUNCH_BOUNDS(Threads, 4) head_rows_bf16(const HeadRowsArgs a) { head_rows<bf16, float>(a); }
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 4) head_rows_half_bf16(const HeadRowsArgs a) { head_rows<bf16, bf16>(a); }
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 4) head_rows_f32(const HeadRowsArgs a) { head_rows<float, float>(a); }
