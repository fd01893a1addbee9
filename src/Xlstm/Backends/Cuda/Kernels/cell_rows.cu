// The cell over many tokens of a sequence, chunk by chunk (docs/cuda.md; the chunkwise form of arXiv 2503.14376), on tensor
// cores. A block of threads owns 32 columns of one head's C, keeps them in shared memory and walks the chunks in order.
#include "cell.cuh"
#include "chunk.cuh"
#include "device.cuh"
#include "mma.cuh"

constexpr int Columns = 32;
constexpr int Depth = 32; // rows of C, columns of q and k, a tile
constexpr int Threads = 256;

// Strides that keep the fragments' reads apart in the banks.
constexpr int CStride = Columns + 8;
constexpr int TileStride = Depth + 4;
constexpr int PStride = Chunk + 4;

extern __shared__ float shared_memory[];

struct CellRowsArgs
{
    const CellItem* items; // [grid y]
    const float* qkvo;     // [T, ld]: q | k | v | o
    const float* gates;    // [T, 2 H]: i | f preactivations
    float* h;              // [T, VD]
    float* new_n;          // [items, H, dqk], committed by the next kernel
    float* new_m;          // [items, H]
    long block_offset;     // floats from a state's start to this block's
    int ld;
    int heads;
    int dqk;
    int dv;
    float gate_cap;
    float eps;
};

/// The scalars of a chunk, by one warp, two tokens a lane.
__device__ void chunk_scalars(const float* gates, int stride, int heads, int count, float cap, float m_prev, float* lead, float* top, float* inter, float* floor, float* last_m)
{
    ChunkLane own;
    own.scan(gates, stride, heads, count, cap);
#pragma unroll
    for (int u = 0; u < 2; u++)
    {
        int t = 2 * lane_index() + u;
        double b = own.b[u];
        float m = (float)(b + (own.top[u] > m_prev ? own.top[u] : (double)m_prev));
        lead[t] = (float)own.lead[u];
        top[t] = (float)(m - b);
        inter[t] = exp_of((float)(b + m_prev - m));
        floor[t] = exp_of(-m);
        if (count - 1 == t)
        {
            *last_m = m;
        }
    }
}

/// A tile [Chunk, Depth] of q or k on its way through registers.
struct TileInFlight
{
    float values[Chunk * Depth / Threads];

    __device__ void fetch(const float* source, long ld, int count, int first, int cols)
    {
#pragma unroll
        for (int i = 0; i < Chunk * Depth / Threads; i++)
        {
            int row = thread_index() / Depth + i * (Threads / Depth), col = first + thread_index() % Depth;
            values[i] = row < count && col < cols ? source[row * ld + col] : 0.0f;
        }
    }

    __device__ void put(float* tile, float scale) const
    {
#pragma unroll
        for (int i = 0; i < Chunk * Depth / Threads; i++)
        {
            tile[(thread_index() / Depth + i * (Threads / Depth)) * TileStride + thread_index() % Depth] = values[i] * scale;
        }
    }
};

template <bool Exact, typename S>
__device__ void cell_rows(const CellRowsArgs& a)
{
    int dqk_tiles = (a.dqk + Depth - 1) / Depth;
    float* c = shared_memory;                         // [dqk_tiles * Depth][CStride]
    float* q_tile = c + dqk_tiles * Depth * CStride;  // [Chunk][TileStride]
    float* k_tile = q_tile + Chunk * TileStride;      // [Chunk][TileStride]
    float* values = k_tile + Chunk * TileStride;      // [Chunk][CStride]
    float* p = values + Chunk * CStride;              // [Chunk][PStride]
    float* n = p + Chunk * PStride;                   // [dqk_tiles * Depth]
    float* lead = n + dqk_tiles * Depth;              // [Chunk] each from here on
    float* top = lead + Chunk;
    float* inter = top + Chunk;
    float* floor = inter + Chunk;
    float* denominator = floor + Chunk;
    float* weight = denominator + Chunk;
    float* last_m = weight + Chunk;                   // [1]

    let_next_start();
    wait_for_previous();
    int slices = (a.dv + Columns - 1) / Columns;
    int head = block_x() / slices;
    int first_column = block_x() % slices * Columns;
    CellItem item = a.items[block_y()];
    float* state = item.state + a.block_offset;
    S* c_global = (S*)state + (long)head * a.dqk * a.dv;
    const float* vectors = state + vectors_offset<S>(a.heads, a.dqk, a.dv);
    const float* n_global = vectors + head * a.dqk;
    float m_prev = vectors[a.heads * a.dqk + head];
    int thread = thread_index(), warp = warp_index(), lane = lane_index();
    int g = lane / 4, r = lane % 4; // group and place in it, as the fragments' layouts name them
    for (int i = thread; i < dqk_tiles * Depth * Columns; i += Threads)
    {
        int row = i / Columns, col = i % Columns;
        bool valid = row < a.dqk && first_column + col < a.dv;
        c[row * CStride + col] = valid ? widen(c_global[(long)row * a.dv + first_column + col]) : 0.0f;
    }

    for (int j = thread; j < dqk_tiles * Depth; j += Threads)
    {
        n[j] = j < a.dqk ? n_global[j] : 0.0f;
    }

    float q_scale = 1.0f / sqrt_of((float)a.dqk);
    for (int done = 0; done < item.tokens; done += Chunk)
    {
        int count = min_of(Chunk, item.tokens - done);
        long token = item.first_row + done;
        const float* q = a.qkvo + token * a.ld + head * a.dqk;
        const float* k = q + a.heads * a.dqk;
        const float* v = a.qkvo + token * a.ld + 2 * a.heads * a.dqk + head * a.dv + first_column;
        TileInFlight q_next, k_next;
        q_next.fetch(q, a.ld, count, 0, a.dqk);
        k_next.fetch(k, a.ld, count, 0, a.dqk);
        __syncthreads(); // the last chunk is done with everything below
        if (warp == 0)
        {
            chunk_scalars(a.gates + token * 2 * a.heads + head, 2 * a.heads, a.heads, count, a.gate_cap, m_prev, lead, top, inter, floor, last_m);
        }

        for (int i = thread; i < Chunk * Columns; i += Threads)
        {
            int row = i / Columns, col = i % Columns;
            values[row * CStride + col] = row < count && first_column + col < a.dv ? v[(long)row * a.ld + col] : 0.0f;
        }

        // Scores S = q k^T (16 tokens by 32 a warp), what the old state says, q C (16 tokens by 16 columns), and q n.
        int row0 = warp / 2 * 16;
        float s[4][4] = {}, h[2][4] = {}, qn = 0;
        for (int tile = 0; tile < dqk_tiles; tile++)
        {
            __syncthreads();
            q_next.put(q_tile, q_scale);
            k_next.put(k_tile, 1.0f);
            __syncthreads();
            if (tile + 1 < dqk_tiles)
            {
                q_next.fetch(q, a.ld, count, (tile + 1) * Depth, a.dqk);
                k_next.fetch(k, a.ld, count, (tile + 1) * Depth, a.dqk);
            }

            const float* c_tile = c + tile * Depth * CStride + warp % 2 * 16;
#pragma unroll
            for (int d = 0; d < Depth; d += 8)
            {
                Fragment<4, Exact> left;
                const float* x = q_tile + (row0 + g) * TileStride + d + r;
                left.set(0, x[0]);
                left.set(1, x[8 * TileStride]);
                left.set(2, x[4]);
                left.set(3, x[8 * TileStride + 4]);
#pragma unroll
                for (int j = 0; j < 4; j++)
                {
                    Fragment<2, Exact> right;
                    const float* y = k_tile + (warp % 2 * 32 + j * 8 + g) * TileStride + d + r;
                    right.set(0, y[0]);
                    right.set(1, y[4]);
                    mma<Exact>(s[j], left, right);
                }

#pragma unroll
                for (int j = 0; j < 2; j++)
                {
                    Fragment<2, Exact> right;
                    const float* y = c_tile + (d + r) * CStride + j * 8 + g;
                    right.set(0, y[0]);
                    right.set(1, y[4 * CStride]);
                    mma<Exact>(h[j], left, right);
                }
            }

#pragma unroll
            for (int j = 0; j < Depth / 4; j++)
            {
                int col = j * 4 + thread % 4;
                qn = fma_of(q_tile[thread / 4 * TileStride + col], n[tile * Depth + col], qn);
            }
        }

        // P = S weighted by D, nothing above the diagonal.
#pragma unroll
        for (int j = 0; j < 4; j++)
        {
#pragma unroll
            for (int e = 0; e < 4; e++)
            {
                int t = row0 + g + e / 2 * 8, source = warp % 2 * 32 + j * 8 + r * 2 + e % 2;
                p[t * PStride + source] = source <= t ? s[j][e] * exp_of(lead[source] - top[t]) : 0.0f;
            }
        }

        if (thread < Chunk)
        {
            weight[thread] = exp_of(lead[thread] - top[count - 1]);
        }

        __syncthreads();
        {
            int t = thread / 4;
            float sum = qn * inter[t];
            for (int j = 0; j < Chunk / 4; j++)
            {
                sum += p[t * PStride + j * 4 + thread % 4];
            }

            sum += shuffle_xor(sum, 1);
            sum += shuffle_xor(sum, 2);
            if (thread % 4 == 0)
            {
                denominator[t] = max_of(abs_of(sum), floor[t]) + a.eps;
            }
        }

        __syncthreads();
#pragma unroll
        for (int j = 0; j < 2; j++)
        {
            h[j][0] *= inter[row0 + g];
            h[j][1] *= inter[row0 + g];
            h[j][2] *= inter[row0 + g + 8];
            h[j][3] *= inter[row0 + g + 8];
        }

#pragma unroll
        for (int d = 0; d < Chunk; d += 8)
        {
            Fragment<4, Exact> left;
            const float* x = p + (row0 + g) * PStride + d + r;
            left.set(0, x[0]);
            left.set(1, x[8 * PStride]);
            left.set(2, x[4]);
            left.set(3, x[8 * PStride + 4]);
#pragma unroll
            for (int j = 0; j < 2; j++)
            {
                Fragment<2, Exact> right;
                const float* y = values + (d + r) * CStride + warp % 2 * 16 + j * 8 + g;
                right.set(0, y[0]);
                right.set(1, y[4 * CStride]);
                mma<Exact>(h[j], left, right);
            }
        }

#pragma unroll
        for (int j = 0; j < 2; j++)
        {
#pragma unroll
            for (int e = 0; e < 4; e++)
            {
                int t = row0 + g + e / 2 * 8, col = first_column + warp % 2 * 16 + j * 8 + r * 2 + e % 2;
                if (t < count && col < a.dv)
                {
                    a.h[(token + t) * a.heads * a.dv + head * a.dv + col] = h[j][e] / denominator[t];
                }
            }
        }

        // The state after the chunk: a warp makes 16 rows by 8 columns of C of each tile.
        float decay = inter[count - 1];
        k_next.fetch(k, a.ld, count, 0, a.dqk);
        for (int tile = 0; tile < dqk_tiles; tile++)
        {
            __syncthreads();
            k_next.put(k_tile, 1.0f);
            __syncthreads();
            if (tile + 1 < dqk_tiles)
            {
                k_next.fetch(k, a.ld, count, (tile + 1) * Depth, a.dqk);
            }

            int c_row = warp / 4 * 16, c_col = warp % 4 * 8;
            float* place = c + (tile * Depth + c_row + g) * CStride + c_col + r * 2;
            float sums[4] = {place[0] * decay, place[1] * decay, place[8 * CStride] * decay, place[8 * CStride + 1] * decay};
#pragma unroll
            for (int d = 0; d < Chunk; d += 8)
            {
                Fragment<4, Exact> left;
                const float* x = k_tile + (d + r) * TileStride + c_row + g;
                left.set(0, x[0] * weight[d + r]);
                left.set(1, x[8] * weight[d + r]);
                left.set(2, x[4 * TileStride] * weight[d + r + 4]);
                left.set(3, x[4 * TileStride + 8] * weight[d + r + 4]);
                Fragment<2, Exact> right;
                const float* y = values + (d + r) * CStride + c_col + g;
                right.set(0, y[0]);
                right.set(1, y[4 * CStride]);
                mma<Exact>(sums, left, right);
            }

            place[0] = sums[0];
            place[1] = sums[1];
            place[8 * CStride] = sums[2];
            place[8 * CStride + 1] = sums[3];
            if (warp == tile % (Threads / WarpSize))
            {
                float sum[4] = {n[tile * Depth + lane] * decay};
#pragma unroll
                for (int t = 0; t < Chunk; t++)
                {
                    sum[t % 4] = fma_of(weight[t], k_tile[t * TileStride + lane], sum[t % 4]);
                }

                n[tile * Depth + lane] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
            }
        }

        m_prev = *last_m;
    }

    __syncthreads();
    for (int i = thread; i < dqk_tiles * Depth * Columns; i += Threads)
    {
        int row = i / Columns, col = i % Columns;
        if (row < a.dqk && first_column + col < a.dv)
        {
            store_value(c_global + (long)row * a.dv + first_column + col, c[row * CStride + col]);
        }
    }

    if (first_column == 0)
    {
        for (int j = thread; j < a.dqk; j += Threads)
        {
            a.new_n[((long)block_y() * a.heads + head) * a.dqk + j] = n[j];
        }

        if (thread == 0)
        {
            a.new_m[block_y() * a.heads + head] = m_prev;
        }
    }
}

extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) cell_rows_tf32_c32(const CellRowsArgs a) { cell_rows<false, float>(a); }
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) cell_rows_tf32_c16(const CellRowsArgs a) { cell_rows<false, bf16>(a); }
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 1) cell_rows_exact_c32(const CellRowsArgs a) { cell_rows<true, float>(a); }
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 1) cell_rows_exact_c16(const CellRowsArgs a) { cell_rows<true, bf16>(a); }
