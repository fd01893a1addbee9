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
    const int* row_of;         // [rows] rows to take, or null for all
    const float* norm;         // [width]; null copies
    const float* norm_bias;    // [width] or null
    void* out;                 // [T, cols], padded with zeros
    const float* gate_weights; // i then f [gate_rows, cols], or null
    const float* gate_bias;    // [gate_rows]
    float* gate_out;           // [T, gate_rows]
    int rows;                  // T
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

/// A warp's part of the dot products of a row with the gates' weights. Several warps share a gate where there are few.
struct GateShare
{
    static constexpr int Held = 8; // vectors of the weights that a lane fetches ahead

    int first;  // gate
    int gates;
    int parts;  // warps a gate
    float4 held[Held];

    __device__ GateShare(const NormRowsArgs& a)
    {
        first = a.gate_rows * block_y() / grid_y();
        gates = a.gate_rows * (block_y() + 1) / grid_y() - first;
        parts = gates > 0 && gates < Warps ? Warps / gates : 1;
        if (warp_index() < gates * parts)
        {
#pragma unroll
            for (int i = 0; i < Held; i++)
            {
                int k = column(warp_index(), i);
                held[i] = k < a.cols ? *(const float4*)(row(a, warp_index()) + k) : float4{0, 0, 0, 0};
            }
        }
    }

    __device__ const float* row(const NormRowsArgs& a, int slot) const { return a.gate_weights + (long)(first + slot / parts) * a.cols; }

    __device__ int column(int slot, int i) const { return (i * parts + slot % parts) * WarpSize * 4 + lane_index() * 4; }

    /// The preactivations from the normed row [cols]; sums: float[Warps].
    __device__ void write(const NormRowsArgs& a, int token, const float* x, float* sums) const
    {
        float* out = a.gate_out + (long)token * a.gate_rows;
        for (int slot = warp_index(); slot < gates * parts; slot += Warps)
        {
            float sum = 0;
            auto add = [&](const float4& w, int k)
            {
                float4 v = *(const float4*)(x + k);
                sum = fma_of(w.x, v.x, fma_of(w.y, v.y, fma_of(w.z, v.z, fma_of(w.w, v.w, sum))));
            };
            bool fetched = slot == warp_index();
#pragma unroll
            for (int i = 0; i < Held; i++)
            {
                int k = column(slot, i);
                if (fetched && k < a.cols)
                {
                    add(held[i], k);
                }
            }

            const float* weights = row(a, slot);
            for (int k = column(slot, fetched ? Held : 0); k < a.cols; k += parts * WarpSize * 4)
            {
                add(*(const float4*)(weights + k), k);
            }

            sum = warp_sum(sum);
            if (lane_index() == 0)
            {
                if (parts == 1)
                {
                    out[first + slot] = sum + a.gate_bias[first + slot];
                }
                else
                {
                    sums[slot] = sum;
                }
            }
        }

        __syncthreads();
        int gate = thread_index();
        if (parts > 1 && gate < gates)
        {
            float sum = 0;
            for (int part = 0; part < parts; part++)
            {
                sum += sums[gate * parts + part];
            }

            out[first + gate] = sum + a.gate_bias[first + gate];
        }
    }
};

/// The same where rows are few and latency is everything: blocks of grid y share the gates, a block takes rows block x,
/// block x + grid x and so on, and what a thread needs is under way at once, weights before the rows are there.
template <typename A>
__device__ void norm_few(const NormRowsArgs& a)
{
    constexpr int Held = 16; // elements of a row that a thread keeps; what is wider goes through shared memory
    float* scratch = shared_memory;
    float* row = scratch + WarpSize; // [cols]
    int thread = thread_index();
    let_next_start();
    GateShare share(a);
    float weights[Held], values[Held];
#pragma unroll
    for (int i = 0; i < Held; i++)
    {
        int k = i * Threads + thread;
        weights[i] = a.norm && k < a.width ? a.norm[k] : 0.0f;
    }

    auto row_of = [&](int token) { return a.x + (long)(a.row_of ? a.row_of[token] : token) * a.width; };
    auto fetch = [&](int token)
    {
        const float* x = row_of(token);
#pragma unroll
        for (int i = 0; i < Held; i++)
        {
            int k = i * Threads + thread;
            values[i] = k < a.width ? x[k] : 0.0f;
        }
    };
    wait_for_previous();
    fetch(block_x());
    for (int token = block_x(); token < a.rows; token += grid_x())
    {
        float squares = 0;
#pragma unroll
        for (int i = 0; i < Held; i++)
        {
            squares = fma_of(values[i], values[i], squares);
        }

        const float* x = row_of(token);
        for (int k = Held * Threads + thread; k < a.cols; k += Threads)
        {
            float value = k < a.width ? x[k] : 0.0f;
            squares = fma_of(value, value, squares);
            row[k] = value;
        }

        float scale = a.norm ? 1.0f / sqrt_of(block_sum(squares, scratch) / a.width + a.eps) : 1.0f;
        A* out = (A*)a.out + (long)token * a.cols;
        auto finish = [&](int k, float value, float weight)
        {
            if (a.norm && k < a.width)
            {
                value = value * scale * weight + (a.norm_bias ? a.norm_bias[k] : 0.0f);
            }

            row[k] = value;
            if (block_y() == 0)
            {
                store_value(out + k, value);
            }
        };
#pragma unroll
        for (int i = 0; i < Held; i++)
        {
            int k = i * Threads + thread;
            if (k < a.cols)
            {
                finish(k, values[i], weights[i]);
            }
        }

        for (int k = Held * Threads + thread; k < a.cols; k += Threads)
        {
            finish(k, row[k], a.norm && k < a.width ? a.norm[k] : 0.0f);
        }

        if (token + grid_x() < a.rows)
        {
            fetch(token + grid_x());
        }

        __syncthreads();
        share.write(a, token, row, scratch);
        __syncthreads();
    }
}

extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) norm_few_bf16(const NormRowsArgs a) { norm_few<bf16>(a); }
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) norm_few_f32(const NormRowsArgs a) { norm_few<float>(a); }

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

/// sigmoid(o) multihead_norm(h) of a row a block, which also puts n and m of the item of its number into its state.
template <typename A, typename G>
__device__ void head_rows(const HeadRowsArgs& a)
{
    let_next_start();
    wait_for_previous();
    long token = block_x();
    if (token < a.commit.count)
    {
        commit_item(a.commit, token, thread_index(), thread_count());
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
