// The cell over many tokens in bfloat16 products, in two kernels (docs/cuda.md): cell_scores makes, for all chunks at once, what
// needs no state; cell_scan then walks the chunks with C in registers. Accumulation and C itself are float32.
#include "cell.cuh"
#include "chunk.cuh"
#include "mma.cuh"

constexpr int Columns = 32; // of C a block of threads owns in cell_scan
constexpr int Threads = 256;

extern __shared__ __attribute__((aligned(128))) byte shared_memory[];

struct CellChunksArgs
{
    const CellItem* items; // [grid z] or [grid y]
    const bf16* qkvo;      // [T, ld]: q | k | v | o
    const float* gates;    // [T, 2 H]: i | f preactivations
    float* h;              // [T, VD]
    float* new_n;          // [items, H, dqk], committed by the next kernel
    float* new_m;          // [items, H]
    bf16* scores;          // [chunks, H, Chunk, Chunk]: P / sqrt(dqk) against the chunk's own stabilizers
    ChunkScalars* scalars; // [chunks, H]
    const int* first_chunk; // [items]: of each item among all chunks
    long block_offset;     // floats from a state's start to this block's
    int ld;
    int heads;
    int dqk; // a multiple of 64
    int dv;  // a multiple of Columns
    float gate_cap;
    float eps;
};

/// Byte of a 16-byte chunk of a row of a tile of so many bytes a row (a multiple of 128), swizzled.
__device__ int place(int row, int chunk, int row_bytes) { return row * row_bytes + ((chunk ^ (row & 7)) * 16); }

/// Rows [Chunk, cols] of q or k into shared memory; rows past count become zero.
__device__ void fetch_rows(byte* tile, const bf16* source, int ld, int count, int cols)
{
    int chunks = cols / 8;
    for (int i = thread_index(); i < Chunk * chunks; i += Threads)
    {
        int row = i / chunks, chunk = i % chunks;
        bool valid = row < count;
        copy_async_16(tile + place(row, chunk, cols * 2), source + (long)(valid ? row : 0) * ld + chunk * 8, valid);
    }
}

/// Scores of a chunk, grid (heads, chunks of the longest item, items): S = q k^T, weighted by what of the gates lies within the
/// chunk: P[t, s] = S[t, s] exp(lead_s - top_t), top_t = max_{s <= t} lead_s.
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) cell_scores(const CellChunksArgs a)
{
    let_next_start();
    wait_for_previous();
    CellItem item = a.items[block_z()];
    int head = block_x(), done = block_y() * Chunk;
    if (done >= item.tokens)
    {
        return;
    }

    int count = min_of(Chunk, item.tokens - done);
    long token = item.first_row + done, index = (long)(a.first_chunk[block_z()] + block_y()) * a.heads + head;
    byte* q_tile = shared_memory;
    byte* k_tile = q_tile + Chunk * a.dqk * 2;
    ChunkScalars* shared_scalars = (ChunkScalars*)(k_tile + Chunk * a.dqk * 2);
    const bf16* q = a.qkvo + token * a.ld + head * a.dqk;
    fetch_rows(q_tile, q, a.ld, count, a.dqk);
    fetch_rows(k_tile, q + a.heads * a.dqk, a.ld, count, a.dqk);
    copy_async_commit();
    if (warp_index() == 0)
    {
        own_scalars(a.gates + token * 2 * a.heads + head, 2 * a.heads, a.heads, count, a.gate_cap, *shared_scalars);
    }

    copy_async_wait<0>();
    __syncthreads();
    const float* from = (const float*)shared_scalars;
    float* to = (float*)(a.scalars + index);
    for (int i = thread_index(); i < (int)(sizeof(ChunkScalars) / sizeof(float)); i += Threads)
    {
        to[i] = from[i];
    }

    // A warp makes 16 tokens by 32.
    int warp = warp_index(), lane = lane_index();
    int row0 = warp / 2 * 16, col0 = warp % 2 * 32;
    float s[4][4] = {};
    uint q_shared = shared_address(q_tile), k_shared = shared_address(k_tile);
    for (int k = 0; k < a.dqk / 16; k++)
    {
        uint left[4], right[2][4];
        load_matrices(left, q_shared + place(row0 + (lane & 15), k * 2 + (lane >> 4), a.dqk * 2));
#pragma unroll
        for (int j = 0; j < 2; j++)
        {
            load_matrices(right[j], k_shared + place(col0 + j * 16 + (lane & 7) + (lane >> 4) * 8, k * 2 + ((lane >> 3) & 1), a.dqk * 2));
        }

#pragma unroll
        for (int j = 0; j < 4; j++)
        {
            mma_bf16(s[j], left, right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]);
        }
    }

    float scale = 1.0f / sqrt_of((float)a.dqk);
    bf16* scores = a.scores + index * Chunk * Chunk;
#pragma unroll
    for (int j = 0; j < 4; j++)
    {
#pragma unroll
        for (int half = 0; half < 2; half++)
        {
            int t = row0 + lane / 4 + half * 8, source = col0 + j * 8 + lane % 4 * 2;
            float top = shared_scalars->top[t];
            float p0 = source <= t ? s[j][half * 2] * scale * exp_of(shared_scalars->lead[source] - top) : 0.0f;
            float p1 = source + 1 <= t ? s[j][half * 2 + 1] * scale * exp_of(shared_scalars->lead[source + 1] - top) : 0.0f;
            *(uint*)(scores + t * Chunk + source) = pack_bf16(p0, p1);
        }
    }
}

__device__ float2 load_pair(const float* p) { return *(const float2*)p; }

__device__ float2 load_pair(const bf16* p)
{
    uint pair = *(const uint*)p;
    return {low_half(pair), high_half(pair)};
}

__device__ void store_pair(float* p, float first, float second) { *(float2*)p = {first, second}; }
__device__ void store_pair(bf16* p, float first, float second) { *(uint*)p = pack_bf16(first, second); }

constexpr int VBytes = 128; // of a row of v in shared memory: 32 columns and 8 for n, whose first is 1, padded

/// The walk over the chunks, grid (heads * dv / Columns, items). Depth is dqk, S what C is stored in.
template <int Depth, typename S>
__device__ void cell_scan(const CellChunksArgs& a)
{
    constexpr int RowsPerWarp = Depth / (Threads / WarpSize); // of C
    constexpr int Tiles = RowsPerWarp / 16;
    static_assert(Tiles >= 1, "a warp owns whole tiles");
    constexpr int QkBytes = Chunk * Depth * 2;
    byte* q_tile = shared_memory;                 // [2][Chunk][Depth]
    byte* k_tile = q_tile + 2 * QkBytes;          // [2][Chunk][Depth]
    byte* p_tile = k_tile + 2 * QkBytes;          // [2][Chunk][Chunk]
    byte* v_tile = p_tile + 2 * Chunk * Chunk * 2; // [Chunk][VBytes / 2]: v, and 1 in column 32
    byte* w_tile = v_tile + Chunk * VBytes;       // the same times each token's weight in the next state
    byte* c_tile = w_tile + Chunk * VBytes;       // [Depth][VBytes / 2]: C and n rounded to bfloat16
    ChunkScalars* scalars = (ChunkScalars*)(c_tile + Depth * VBytes); // [2]

    let_next_start();
    wait_for_previous();
    int slices = a.dv / Columns;
    int head = block_x() / slices, first_column = block_x() % slices * Columns;
    CellItem item = a.items[block_y()];
    float* state = item.state + a.block_offset;
    S* c_global = (S*)state + (long)head * Depth * a.dv + first_column;
    const float* vectors = state + vectors_offset<S>(a.heads, Depth, a.dv);
    const float* n_global = vectors + head * Depth;
    float m_prev = vectors[a.heads * Depth + head];
    int thread = thread_index(), warp = warp_index(), lane = lane_index();
    int g = lane / 4, r = lane % 4;

    auto fetch = [&](int chunk)
    {
        int done = chunk * Chunk;
        if (done < item.tokens)
        {
            int count = min_of(Chunk, item.tokens - done), buffer = chunk % 2;
            long token = item.first_row + done, index = (long)(a.first_chunk[block_y()] + chunk) * a.heads + head;
            const bf16* q = a.qkvo + token * a.ld + head * Depth;
            fetch_rows(q_tile + buffer * QkBytes, q, a.ld, count, Depth);
            fetch_rows(k_tile + buffer * QkBytes, q + a.heads * Depth, a.ld, count, Depth);
            fetch_rows(p_tile + buffer * Chunk * Chunk * 2, a.scores + index * Chunk * Chunk, Chunk, Chunk, Chunk);
            for (int i = thread; i < (int)(sizeof(ChunkScalars) / 16); i += Threads)
            {
                copy_async_16((byte*)(scalars + buffer) + i * 16, (const byte*)(a.scalars + index) + i * 16, true);
            }
        }

        copy_async_commit();
    };

    fetch(0);

    // C's rows of this warp: accumulators, with n in column 32.
    int c_row0 = warp * RowsPerWarp;
    float c[Tiles][5][4];
#pragma unroll
    for (int i = 0; i < Tiles; i++)
    {
#pragma unroll
        for (int j = 0; j < 4; j++)
        {
            const S* from = c_global + (long)(c_row0 + i * 16 + g) * a.dv + j * 8 + r * 2;
            float2 upper = load_pair(from), lower = load_pair(from + 8l * a.dv);
            c[i][j][0] = upper.x;
            c[i][j][1] = upper.y;
            c[i][j][2] = lower.x;
            c[i][j][3] = lower.y;
        }

        c[i][4][0] = r == 0 ? n_global[c_row0 + i * 16 + g] : 0.0f;
        c[i][4][2] = r == 0 ? n_global[c_row0 + i * 16 + g + 8] : 0.0f;
        c[i][4][1] = c[i][4][3] = 0.0f;
    }

    float q_scale = 1.0f / sqrt_of((float)Depth);
    int chunks = (item.tokens + Chunk - 1) / Chunk;
    for (int chunk = 0; chunk < chunks; chunk++)
    {
        int done = chunk * Chunk, count = min_of(Chunk, item.tokens - done), buffer = chunk % 2;
        long token = item.first_row + done;
        uint v_pair[4]; // Chunk * Columns / 2 / Threads
        const bf16* v = a.qkvo + token * a.ld + 2 * a.heads * Depth + head * a.dv + first_column;
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            int row = thread / 16 + i * 16, col = thread % 16 * 2;
            v_pair[i] = row < count ? *(const uint*)(v + (long)row * a.ld + col) : 0;
        }

        copy_async_wait<0>();
        __syncthreads(); // this chunk has come, and the last one is done with v, w and C's copy
        const ChunkScalars& s = scalars[buffer];
        double b_last = s.b[count - 1]; // in double: see cell_scalars
        float m_last = (float)(b_last + max_of(m_prev, s.top[count - 1]));
        float to_last = (float)(b_last - m_last), decay = exp_of((float)(b_last + m_prev - m_last));
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            int row = thread / 16 + i * 16, col = thread % 16 * 2;
            float weight = exp_of(s.lead[row] + to_last);
            int byte_of = place(row, col / 8, VBytes) + col % 8 * 2;
            *(uint*)(v_tile + byte_of) = v_pair[i];
            *(uint*)(w_tile + byte_of) = pack_bf16(low_half(v_pair[i]) * weight, high_half(v_pair[i]) * weight);
            if (thread % 16 < 4)
            {
                // Columns 32 to 39: 1 and zeros.
                int ones = place(row, 4, VBytes) + thread % 16 * 4;
                *(uint*)(v_tile + ones) = thread % 16 == 0 ? pack_bf16(1.0f, 0.0f) : 0;
                *(uint*)(w_tile + ones) = thread % 16 == 0 ? pack_bf16(weight, 0.0f) : 0;
            }
        }

#pragma unroll
        for (int i = 0; i < Tiles; i++)
        {
#pragma unroll
            for (int j = 0; j < 5; j++)
            {
                int row = c_row0 + i * 16 + g;
                *(uint*)(c_tile + place(row, j, VBytes) + r * 4) = pack_bf16(c[i][j][0], c[i][j][1]);
                *(uint*)(c_tile + place(row + 8, j, VBytes) + r * 4) = pack_bf16(c[i][j][2], c[i][j][3]);
            }
        }

        __syncthreads();
        fetch(chunk + 1); // its buffers were last read before the barrier above

        // h: 16 tokens by 16 columns a warp, and the column of n, from the old state and from the chunk.
        int row0 = warp % 4 * 16, half = warp / 4; // columns 16 half and on
        uint q_shared = shared_address(q_tile + buffer * QkBytes), k_shared = shared_address(k_tile + buffer * QkBytes);
        uint p_shared = shared_address(p_tile + buffer * Chunk * Chunk * 2), c_shared = shared_address(c_tile);
        uint v_shared = shared_address(v_tile), w_shared = shared_address(w_tile);
        float old[3][4] = {}, own[3][4] = {};
#pragma unroll
        for (int k = 0; k < Depth / 16; k++)
        {
            uint left[4], right[4], last[4];
            load_matrices(left, q_shared + place(row0 + (lane & 15), k * 2 + (lane >> 4), Depth * 2));
            load_matrices_transposed(right, c_shared + place(k * 16 + (lane & 15), half * 2 + (lane >> 4), VBytes));
            load_matrices_transposed(last, c_shared + place(k * 16 + (lane & 15), 4, VBytes));
            mma_bf16(old[0], left, right[0], right[1]);
            mma_bf16(old[1], left, right[2], right[3]);
            mma_bf16(old[2], left, last[0], last[1]);
        }

#pragma unroll
        for (int k = 0; k < Chunk / 16; k++)
        {
            uint left[4], right[4], last[4];
            load_matrices(left, p_shared + place(row0 + (lane & 15), k * 2 + (lane >> 4), Chunk * 2));
            load_matrices_transposed(right, v_shared + place(k * 16 + (lane & 15), half * 2 + (lane >> 4), VBytes));
            load_matrices_transposed(last, v_shared + place(k * 16 + (lane & 15), 4, VBytes));
            mma_bf16(own[0], left, right[0], right[1]);
            mma_bf16(own[1], left, right[2], right[3]);
            mma_bf16(own[2], left, last[0], last[1]);
        }

#pragma unroll
        for (int part = 0; part < 2; part++)
        {
            int t = row0 + g + part * 8;
            float top = max_of(m_prev, s.top[t]);
            float of_old = exp_of(m_prev - top) * q_scale, of_own = exp_of(s.top[t] - top);
            float n = of_old * old[2][part * 2] + of_own * own[2][part * 2];
            n = shuffle_from(n, lane & ~3);
            float scale = 1.0f / (max_of(abs_of(n), exp_of(-(s.b[t] + top))) + a.eps);
            if (t < count)
            {
                float* h = a.h + (token + t) * a.heads * a.dv + head * a.dv + first_column + half * 16 + r * 2;
#pragma unroll
                for (int j = 0; j < 2; j++)
                {
                    *(float2*)(h + j * 8) = {
                        (of_old * old[j][part * 2] + of_own * own[j][part * 2]) * scale, (of_old * old[j][part * 2 + 1] + of_own * own[j][part * 2 + 1]) * scale};
                }
            }
        }

        // The state after the chunk.
#pragma unroll
        for (int i = 0; i < Tiles; i++)
        {
#pragma unroll
            for (int j = 0; j < 5; j++)
            {
#pragma unroll
                for (int e = 0; e < 4; e++)
                {
                    c[i][j][e] *= decay;
                }
            }
        }

#pragma unroll
        for (int k = 0; k < Chunk / 16; k++)
        {
            uint right[2][4], last[4];
            load_matrices_transposed(right[0], w_shared + place(k * 16 + (lane & 15), lane >> 4, VBytes));
            load_matrices_transposed(right[1], w_shared + place(k * 16 + (lane & 15), 2 + (lane >> 4), VBytes));
            load_matrices_transposed(last, w_shared + place(k * 16 + (lane & 15), 4, VBytes));
#pragma unroll
            for (int i = 0; i < Tiles; i++)
            {
                // k^T: rows of the tile in memory are tokens, so its matrices come transposed: (token 0-7, row 0-7), (0-7, 8-15), ...
                uint left[4];
                load_matrices_transposed(left, k_shared + place(k * 16 + (lane & 7) + (lane >> 4) * 8, (c_row0 + i * 16) / 8 + ((lane >> 3) & 1), Depth * 2));
#pragma unroll
                for (int j = 0; j < 4; j++)
                {
                    mma_bf16(c[i][j], left, right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]);
                }

                mma_bf16(c[i][4], left, last[0], last[1]);
            }
        }

        m_prev = m_last;
    }

    copy_async_wait<0>();
#pragma unroll
    for (int i = 0; i < Tiles; i++)
    {
#pragma unroll
        for (int j = 0; j < 4; j++)
        {
            S* to = c_global + (long)(c_row0 + i * 16 + g) * a.dv + j * 8 + r * 2;
            store_pair(to, c[i][j][0], c[i][j][1]);
            store_pair(to + 8l * a.dv, c[i][j][2], c[i][j][3]);
        }

        if (first_column == 0 && r == 0)
        {
            float* n = a.new_n + ((long)block_y() * a.heads + head) * Depth + c_row0 + i * 16 + g;
            n[0] = c[i][4][0];
            n[8] = c[i][4][2];
        }
    }

    if (first_column == 0 && thread == 0)
    {
        a.new_m[block_y() * a.heads + head] = m_prev;
    }
}

extern "C" __global__ void LAUNCH_BOUNDS(Threads, 1) cell_scan_128_c32(const CellChunksArgs a) { cell_scan<128, float>(a); }
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 1) cell_scan_256_c32(const CellChunksArgs a) { cell_scan<256, float>(a); }
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 1) cell_scan_128_c16(const CellChunksArgs a) { cell_scan<128, bf16>(a); }
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 1) cell_scan_256_c16(const CellChunksArgs a) { cell_scan<256, bf16>(a); }
