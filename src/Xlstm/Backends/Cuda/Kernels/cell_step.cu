// One step of the cell for a sequence or many: bound by memory, since all of C is read and written for a token.
#include "cell.cuh"

constexpr int Threads = 256;
constexpr int Warps = Threads / WarpSize;

/// Rows of C that a thread has under way.
constexpr int Ahead = 8;

extern __shared__ float4 shared_memory[];

struct CellStepArgs
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

/// 16 bytes of a row of C, widened.
template <typename S> struct Columns;

template <> struct Columns<float>
{
    static constexpr int Count = 4;

    __device__ static void widen_all(const uint4& raw, float (&c)[Count])
    {
        c[0] = bits_to_float(raw.x);
        c[1] = bits_to_float(raw.y);
        c[2] = bits_to_float(raw.z);
        c[3] = bits_to_float(raw.w);
    }

    __device__ static uint4 narrow_all(const float (&c)[Count]) { return {float_to_bits(c[0]), float_to_bits(c[1]), float_to_bits(c[2]), float_to_bits(c[3])}; }
};

template <> struct Columns<bf16>
{
    static constexpr int Count = 8;

    __device__ static void widen_all(const uint4& raw, float (&c)[Count])
    {
        const uint pairs[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            c[2 * i] = low_half(pairs[i]);
            c[2 * i + 1] = high_half(pairs[i]);
        }
    }

    __device__ static uint4 narrow_all(const float (&c)[Count])
    {
        return {pack_bf16(c[0], c[1]), pack_bf16(c[2], c[3]), pack_bf16(c[4], c[5]), pack_bf16(c[6], c[7])};
    }
};

/// What a thread needs of a row besides C.
struct KeyQuery
{
    float k; // times b
    float q; // scaled
};

/// One step of the cell, grid (heads * slices, items): C is read, moved on, multiplied by q and written in one pass, so many
/// columns of a head a block of threads. S is what C is stored in; the arithmetic is float32, and h is made of the new C before
/// it is rounded. Everything that a block of threads loads is under way at once.
template <typename S, int SliceColumns>
__device__ void cell_step(const CellStepArgs& a)
{
    constexpr int Count = Columns<S>::Count;
    constexpr int Vectors = SliceColumns / Count; // threads a row
    constexpr int Rows = Threads / Vectors;
    float* scratch = (float*)shared_memory;                   // [32]
    float* sums = scratch + WarpSize;                         // [Warps][SliceColumns]
    KeyQuery* rows = (KeyQuery*)(sums + Warps * SliceColumns); // [dqk]

    let_next_start();
    int slices = (a.dv + SliceColumns - 1) / SliceColumns;
    int head = block_x() / slices;
    int slice = block_x() % slices;
    CellItem item = a.items[block_y()];
    if (!item.state)
    {
        wait_for_previous();
        return;
    }

    float* state = item.state + a.block_offset;
    S* c = (S*)state + (long)head * a.dqk * a.dv;
    const float* vectors = state + vectors_offset<S>(a.heads, a.dqk, a.dv);
    const float* n = vectors + head * a.dqk;
    int thread = thread_index();
    int column = slice * SliceColumns + thread % Vectors * Count;
    int first_row = thread / Vectors;
    bool whole = column + Count <= a.dv && a.dv % Count == 0;
    uint4 ahead[Ahead];
    auto fetch = [&](int base)
    {
#pragma unroll
        for (int i = 0; i < Ahead; i++)
        {
            int row = base + i * Rows;
            if (whole && row < a.dqk)
            {
                ahead[i] = load_global(c + (long)row * a.dv + column);
            }
        }
    };

    // The state was last written a whole step ago: fetching it needs no waiting.
    bool has_row = thread < a.dqk;
    float m = vectors[a.heads * a.dqk + head], n0 = has_row ? n[thread] : 0.0f;
    fetch(first_row);
    wait_for_previous();
    long token = item.first_row;
    const float* q = a.qkvo + token * a.ld + head * a.dqk;
    const float* k = q + a.heads * a.dqk;
    const float* v = a.qkvo + token * a.ld + 2 * a.heads * a.dqk + head * a.dv;
    const float* gates = a.gates + token * 2 * a.heads + head;
    float input_gate = gates[0], forget_gate = gates[a.heads];
    float k0 = has_row ? k[thread] : 0.0f, q0 = has_row ? q[thread] : 0.0f;
    float vs[Count], h[Count];
#pragma unroll
    for (int i = 0; i < Count; i++)
    {
        vs[i] = column + i < a.dv ? v[column + i] : 0.0f;
        h[i] = 0.0f;
    }

    CellScalars s = cell_scalars(input_gate, forget_gate, m, a.gate_cap);
    float q_scale = 1.0f / sqrt_of((float)a.dqk);
    float dot = 0;
    for (int j = thread; j < a.dqk; j += Threads)
    {
        bool first = j == thread;
        float kj = first ? k0 : k[j], qj = (first ? q0 : q[j]) * q_scale;
        float nj = fma_of(s.b, kj, s.a * (first ? n0 : n[j]));
        dot = fma_of(qj, nj, dot);
        rows[j] = {s.b * kj, qj};
        if (slice == 0)
        {
            a.new_n[((long)block_y() * a.heads + head) * a.dqk + j] = nj;
        }
    }

    if (slice == 0 && thread == 0)
    {
        a.new_m[block_y() * a.heads + head] = s.m;
    }

    float denominator = max_of(abs_of(block_sum(dot, scratch)), exp_of(-s.m)) + a.eps;
    auto update = [&](float(&cell)[Count], const KeyQuery& row)
    {
#pragma unroll
        for (int i = 0; i < Count; i++)
        {
            cell[i] = fma_of(row.k, vs[i], s.a * cell[i]);
            h[i] = fma_of(row.q, cell[i], h[i]);
        }
    };
    if (whole)
    {
        for (int base = first_row; base < a.dqk; base += Ahead * Rows)
        {
#pragma unroll
            for (int i = 0; i < Ahead; i++)
            {
                int row = base + i * Rows;
                if (row < a.dqk)
                {
                    float cell[Count];
                    Columns<S>::widen_all(ahead[i], cell);
                    update(cell, rows[row]);
                    store_global(c + (long)row * a.dv + column, Columns<S>::narrow_all(cell));
                }
            }

            fetch(base + Ahead * Rows);
        }
    }
    else
    {
        for (int row = first_row; row < a.dqk; row += Rows)
        {
            S* place = c + (long)row * a.dv + column;
            float cell[Count];
#pragma unroll
            for (int i = 0; i < Count; i++)
            {
                cell[i] = column + i < a.dv ? widen(place[i]) : 0.0f;
            }

            update(cell, rows[row]);
#pragma unroll
            for (int i = 0; i < Count; i++)
            {
                if (column + i < a.dv)
                {
                    store_value(place + i, cell[i]);
                }
            }
        }
    }

    // Over the rows of a warp, then over warps.
#pragma unroll
    for (int i = 0; i < Count; i++)
    {
#pragma unroll
        for (int mask = Vectors; mask < WarpSize; mask *= 2)
        {
            h[i] += shuffle_xor(h[i], mask);
        }
    }

    if (lane_index() < Vectors)
    {
#pragma unroll
        for (int i = 0; i < Count; i++)
        {
            sums[warp_index() * SliceColumns + lane_index() * Count + i] = h[i];
        }
    }

    __syncthreads();
    if (thread < SliceColumns && slice * SliceColumns + thread < a.dv)
    {
        float sum = 0;
#pragma unroll
        for (int warp = 0; warp < Warps; warp++)
        {
            sum += sums[warp * SliceColumns + thread];
        }

        a.h[token * a.heads * a.dv + head * a.dv + slice * SliceColumns + thread] = sum / denominator;
    }
}

// 128 neighbouring bytes a row.
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) cell_step_c32(const CellStepArgs a) { cell_step<float, 32>(a); }
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) cell_step_c16(const CellStepArgs a) { cell_step<bf16, 64>(a); }
