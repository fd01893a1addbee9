// One token of one sequence: five kernels a block, each a matrix times a vector with everything around it fused in, or the cell.
// Bound by memory: every kernel starts fetching its weights before the kernel in front of it has finished.
#include "step_input.cuh"

/// Vectors of 16 bytes of each of a warp's two rows that a lane takes at a time, and how many such chunks are under way.
constexpr int Depth = 2;
constexpr int Ring = 4;

extern __shared__ float4 shared_memory[];

/// A warp's walk over pairs of rows, in chunks of Depth vectors a lane and row.
template <typename W> struct Walk
{
    const W* weights;
    int rows;
    int cols;
    int vectors;  // of 16 bytes, a row
    int chunks;   // a row
    int pair;
    int chunk;

    __device__ Walk(const MatVecArgs& a, int first_pair) : weights((const W*)a.weights), rows(a.rows), cols(a.cols), pair(first_pair), chunk(0)
    {
        vectors = cols / Layout<W>::PerVector;
        chunks = (vectors + WarpSize * Depth - 1) / (WarpSize * Depth);
    }

    __device__ bool inside() const { return 2 * pair < rows; }

    __device__ void fetch(uint4 (&a)[Depth], uint4 (&b)[Depth]) const
    {
        const W* row_a = weights + (long)(2 * pair) * cols;
        const W* row_b = 2 * pair + 1 < rows ? row_a + cols : row_a;
        int first = chunk * WarpSize * Depth + lane_index();
#pragma unroll
        for (int i = 0; i < Depth; i++)
        {
            int vector = first + i * WarpSize;
            if (vector < vectors)
            {
                a[i] = load_streaming(row_a + (long)vector * Layout<W>::PerVector);
                b[i] = load_streaming(row_b + (long)vector * Layout<W>::PerVector);
            }
        }
    }

    __device__ void multiply(const uint4 (&a)[Depth], const uint4 (&b)[Depth], const float* x, float& sum_a, float& sum_b) const
    {
        int first = chunk * WarpSize * Depth + lane_index();
#pragma unroll
        for (int i = 0; i < Depth; i++)
        {
            int vector = first + i * WarpSize;
            if (vector < vectors)
            {
                Layout<W>::multiply(a[i], b[i], x, vector, cols, sum_a, sum_b);
            }
        }
    }

    __device__ void next(int stride)
    {
        if (++chunk == chunks)
        {
            chunk = 0;
            pair += stride;
        }
    }
};

template <typename W, Input In, Result Out>
__device__ void mat_vec(const MatVecArgs& a)
{
    float* scratch = (float*)shared_memory;
    float* x = scratch + WarpSize;
    let_next_start();

    int warps = grid_x() * StepWarps;
    int warp = block_x() * StepWarps + warp_index();
    Walk<W> ahead(a, warp), now = ahead;
    uint4 ring_a[Ring][Depth], ring_b[Ring][Depth];
#pragma unroll
    for (int i = 0; i < Ring - 1; i++)
    {
        if (ahead.inside())
        {
            ahead.fetch(ring_a[i], ring_b[i]);
            ahead.next(warps);
        }
    }

    wait_for_previous();
    float scale = load_input<W, In>(a, x, scratch);
    if (In == HeadsInput && block_x() == grid_x() - 1)
    {
        commit_cell(a.commit, thread_index(), thread_count());
    }

    float sum_a = 0, sum_b = 0;
    auto step = [&](uint4(&current_a)[Depth], uint4(&current_b)[Depth], uint4(&next_a)[Depth], uint4(&next_b)[Depth])
    {
        if (ahead.inside())
        {
            ahead.fetch(next_a, next_b);
            ahead.next(warps);
        }

        now.multiply(current_a, current_b, x, sum_a, sum_b);
        if (now.chunk == now.chunks - 1)
        {
            sum_a = warp_sum(sum_a) * scale;
            sum_b = warp_sum(sum_b) * scale;
            int row = 2 * now.pair + lane_index();
            if (lane_index() < 2 && row < a.rows)
            {
                float value = lane_index() == 0 ? sum_a : sum_b;
                float partner = sum_b;
                if (a.bias)
                {
                    value += a.bias[row];
                    partner += Out == SwiGluResult ? a.bias[2 * now.pair + 1] : 0.0f;
                }

                finish<Out>(a, row, value, partner);
            }

            sum_a = sum_b = 0;
        }

        now.next(warps);
    };

    while (now.inside())
    {
#pragma unroll
        for (int i = 0; i < Ring; i++)
        {
            if (now.inside())
            {
                step(ring_a[i], ring_b[i], ring_a[(i + Ring - 1) % Ring], ring_b[(i + Ring - 1) % Ring]);
            }
        }
    }

    if constexpr (In == NormInput && Out == StoreResult)
    {
        make_gates<W>(a, x, scale);
    }
}

#define MAT_VEC(name, weights, in, out) \
    extern "C" __global__ void LAUNCH_BOUNDS(StepThreads, 2) name(const MatVecArgs args) { mat_vec<weights, in, out>(args); }

MAT_VEC(step_qkvo_bf16, bf16, NormInput, StoreResult)
MAT_VEC(step_out_bf16, bf16, HeadsInput, AddResult)
MAT_VEC(step_up_bf16, bf16, NormInput, SwiGluResult)
MAT_VEC(step_down_bf16, bf16, PlainInput, AddResult)
MAT_VEC(step_logits_bf16, bf16, NormInput, CapResult)
MAT_VEC(step_logits_plain_bf16, bf16, PlainInput, CapResult)
MAT_VEC(step_qkvo_f32, float, NormInput, StoreResult)
MAT_VEC(step_out_f32, float, HeadsInput, AddResult)
MAT_VEC(step_up_f32, float, NormInput, SwiGluResult)
MAT_VEC(step_down_f32, float, PlainInput, AddResult)
MAT_VEC(step_logits_f32, float, NormInput, CapResult)
MAT_VEC(step_logits_plain_f32, float, PlainInput, CapResult)

/// Columns of C of a block of threads: 128 neighbouring bytes a row.
constexpr int CellColumns = 32;
constexpr int CellThreads = 256;
constexpr int CellRows = CellThreads / (CellColumns / 4);

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

/// One step of the cell, grid (heads * slices, items): C is read, moved on, multiplied by q and written in one pass.
extern "C" __global__ void LAUNCH_BOUNDS(CellThreads, 2) cell_step(const CellStepArgs a)
{
    float* scratch = (float*)shared_memory; // [32]
    float4* sums = (float4*)(scratch + WarpSize); // [CellRows][8]
    float* qs = (float*)(sums + CellThreads); // [dqk]
    float* ks = qs + a.dqk;                   // [dqk], times b

    let_next_start();
    int slices = (a.dv + CellColumns - 1) / CellColumns;
    int head = block_x() / slices;
    int slice = block_x() % slices;
    CellItem item = a.items[block_y()];
    float* state = item.state + a.block_offset;
    float* c = state + (long)head * a.dqk * a.dv;
    const float* n = state + (long)a.heads * a.dqk * a.dv + head * a.dqk;
    float m = state[(long)a.heads * a.dqk * (a.dv + 1) + head];
    int thread = thread_index();
    int column = slice * CellColumns + thread % 8 * 4;
    int first_row = thread / 8;

    // The state was last written a whole step ago: fetching it needs no waiting.
    constexpr int Ahead = 8;
    bool whole = column + 4 <= a.dv && (a.dv & 3) == 0;
    float4 c0[Ahead];
    if (whole)
    {
#pragma unroll
        for (int i = 0; i < Ahead; i++)
        {
            int row = first_row + i * CellRows;
            if (row < a.dqk)
            {
                c0[i] = *(const float4*)(c + (long)row * a.dv + column);
            }
        }
    }

    wait_for_previous();
    long token = item.first_row;
    const float* q = a.qkvo + token * a.ld + head * a.dqk;
    const float* k = q + a.heads * a.dqk;
    const float* v = a.qkvo + token * a.ld + 2 * a.heads * a.dqk + head * a.dv;
    const float* gates = a.gates + token * 2 * a.heads + head;
    CellScalars s = cell_scalars(gates[0], gates[a.heads], m, a.gate_cap);
    float q_scale = 1.0f / sqrt_of((float)a.dqk);
    float dot = 0;
    for (int j = thread; j < a.dqk; j += CellThreads)
    {
        float kj = k[j], qj = q[j] * q_scale;
        float nj = fma_of(s.b, kj, s.a * n[j]);
        dot = fma_of(qj, nj, dot);
        qs[j] = qj;
        ks[j] = s.b * kj;
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
    float4 vs = {0, 0, 0, 0};
    if (column + 0 < a.dv) vs.x = v[column];
    if (column + 1 < a.dv) vs.y = v[column + 1];
    if (column + 2 < a.dv) vs.z = v[column + 2];
    if (column + 3 < a.dv) vs.w = v[column + 3];

    float4 h = {0, 0, 0, 0};
    auto update = [&](float4& cell, int row)
    {
        float bk = ks[row], qj = qs[row];
        cell.x = fma_of(bk, vs.x, s.a * cell.x);
        cell.y = fma_of(bk, vs.y, s.a * cell.y);
        cell.z = fma_of(bk, vs.z, s.a * cell.z);
        cell.w = fma_of(bk, vs.w, s.a * cell.w);
        h.x = fma_of(qj, cell.x, h.x);
        h.y = fma_of(qj, cell.y, h.y);
        h.z = fma_of(qj, cell.z, h.z);
        h.w = fma_of(qj, cell.w, h.w);
    };
    if (whole)
    {
        for (int base = first_row; base < a.dqk; base += Ahead * CellRows)
        {
#pragma unroll
            for (int i = 0; i < Ahead; i++)
            {
                int row = base + i * CellRows;
                if (row < a.dqk)
                {
                    float4* place = (float4*)(c + (long)row * a.dv + column);
                    float4 cell = base == first_row ? c0[i] : *place;
                    update(cell, row);
                    *place = cell;
                }
            }
        }
    }
    else
    {
        for (int row = first_row; row < a.dqk; row += CellRows)
        {
            float* place = c + (long)row * a.dv + column;
            float4 cell = {0, 0, 0, 0};
            if (column + 0 < a.dv) cell.x = place[0];
            if (column + 1 < a.dv) cell.y = place[1];
            if (column + 2 < a.dv) cell.z = place[2];
            if (column + 3 < a.dv) cell.w = place[3];
            update(cell, row);
            if (column + 0 < a.dv) place[0] = cell.x;
            if (column + 1 < a.dv) place[1] = cell.y;
            if (column + 2 < a.dv) place[2] = cell.z;
            if (column + 3 < a.dv) place[3] = cell.w;
        }
    }

    sums[thread] = h;
    __syncthreads();
    if (thread < CellColumns && slice * CellColumns + thread < a.dv)
    {
        float sum = 0;
        for (int row = 0; row < CellRows; row++)
        {
            sum += ((const float*)(sums + row * 8))[thread];
        }

        a.h[token * a.heads * a.dv + head * a.dv + slice * CellColumns + thread] = sum / denominator;
    }
}
