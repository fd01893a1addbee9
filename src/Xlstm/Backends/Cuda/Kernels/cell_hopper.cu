// One step of the cell of many sequences on compute capability 9.0, for states whose rows of C are a power of two of 16-byte
// vectors. Bound by memory: C goes through shared memory by the copy engine, in stretches of whole rows, so that many bytes are
// under way both ways whatever the threads do. A block of threads moves some rows of a head's C on and multiplies them by q; the
// one that is the last of its head adds up what all have made and does the rest: n, m, the denominator, multihead_norm and the
// output gate.
#include "async.cuh"
#include "cell.cuh"

constexpr int Threads = 256;
constexpr int Warps = Threads / WarpSize;
constexpr int Copies = 4; // of a block's rows, each computed when it has come

extern __shared__ __attribute__((aligned(128))) byte shared_memory[];

struct CellStreamArgs
{
    const CellItem* items; // [grid y]
    const float* qkvo;     // [T, ld]: q | k | v | o
    const float* gates;    // [T, 2 H]: i | f preactivations
    float* sums;           // [parts, T, VD]: q C over each part of the rows of C
    uint* arrived;         // [items, H]: parts that are done, zero between kernels
    const float* norm;     // multihead_norm's weight [VD]
    const float* norm_bias;// [VD] or null
    bf16* out;             // input of out_proj [T, cols], its padding zero from the start
    long block_offset;     // floats from a state's start to this block's
    int ld;
    int heads;
    int dqk;
    int dv;
    int part_rows;         // of C, a block of threads; a multiple of Copies
    int tokens;            // T
    int cols;
    float gate_cap;
    float eps;             // the cell's
    float norm_eps;
};

/// 16 bytes of a row of C.
template <typename S> struct Vector;

template <> struct Vector<float>
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

template <> struct Vector<bf16>
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

/// Two sums over the block, in every thread. scratch: float2[Warps], written once.
__device__ float2 block_sums(float2 value, float2* scratch)
{
    value = {warp_sum(value.x), warp_sum(value.y)};
    if (lane_index() == 0)
    {
        scratch[warp_index()] = value;
    }

    __syncthreads();
    float2 sum = {0, 0};
#pragma unroll
    for (int warp = 0; warp < Warps; warp++)
    {
        sum = {sum.x + scratch[warp].x, sum.y + scratch[warp].y};
    }

    return sum;
}

/// Once a head's parts are done: its new n and m, and sigmoid(o) multihead_norm(h), each thread four columns. scratch: float2[2 Warps].
__device__ void finish_head(const CellStreamArgs& a, float* vectors, long token, int head, int parts, float2* scratch)
{
    float* n = vectors + head * a.dqk;
    float* m = vectors + a.heads * a.dqk + head;
    long width = a.heads * a.dv;
    const float* q = a.qkvo + token * a.ld + head * a.dqk;
    const float* k = q + a.heads * a.dqk;
    const float* o = a.qkvo + token * a.ld + 2 * a.heads * a.dqk + width + head * a.dv;
    const float* gates = a.gates + token * 2 * a.heads + head;
    constexpr int PartsAtOnce = 8;
    int thread = thread_index(), column = thread * 4;
    bool inside = column < a.dv;
    float4 h = {0, 0, 0, 0}, gate = h, weight = h, bias = h;
    if (inside)
    {
        const float* sums = a.sums + token * width + head * a.dv + column;
        for (int first = 0; first < parts; first += PartsAtOnce)
        {
            float4 sum[PartsAtOnce];
#pragma unroll
            for (int i = 0; i < PartsAtOnce; i++)
            {
                sum[i] = float4{0, 0, 0, 0};
                if (first + i < parts)
                {
                    sum[i] = load_of_others(sums + (first + i) * (a.tokens * width));
                }
            }

#pragma unroll
            for (int i = 0; i < PartsAtOnce; i++)
            {
                h = {h.x + sum[i].x, h.y + sum[i].y, h.z + sum[i].z, h.w + sum[i].w};
            }
        }

        gate = *(const float4*)(o + column);
        weight = *(const float4*)(a.norm + head * a.dv + column);
        if (a.norm_bias)
        {
            bias = *(const float4*)(a.norm_bias + head * a.dv + column);
        }
    }

    CellScalars s = cell_scalars(gates[0], gates[a.heads], *m, a.gate_cap);
    float q_scale = 1.0f / sqrt_of((float)a.dqk);
    float dot = 0;
    for (int j = thread; j < a.dqk; j += Threads)
    {
        float next = fma_of(s.b, k[j], s.a * n[j]);
        dot = fma_of(q[j] * q_scale, next, dot);
        n[j] = next;
    }

    float2 both = block_sums({dot, (h.x + h.y) + (h.z + h.w)}, scratch);
    if (thread == 0)
    {
        *m = s.m; // every thread has read the old one
    }

    float scale = 1.0f / (max_of(abs_of(both.x), exp_of(-s.m)) + a.eps), mean = both.y * scale / a.dv;
    h = {fma_of(h.x, scale, -mean), fma_of(h.y, scale, -mean), fma_of(h.z, scale, -mean), fma_of(h.w, scale, -mean)};
    float squares = inside ? fma_of(h.x, h.x, h.y * h.y) + fma_of(h.z, h.z, h.w * h.w) : 0.0f;
    float norm = 1.0f / sqrt_of(block_sums({squares, 0.0f}, scratch + Warps).x / a.dv + a.norm_eps);
    if (inside)
    {
        float4 y = {
            fma_of(h.x * norm, weight.x, bias.x) * sigmoid(gate.x), fma_of(h.y * norm, weight.y, bias.y) * sigmoid(gate.y),
            fma_of(h.z * norm, weight.z, bias.z) * sigmoid(gate.z), fma_of(h.w * norm, weight.w, bias.w) * sigmoid(gate.w)};
        *(uint2*)(a.out + token * a.cols + head * a.dv + column) = {pack_bf16(y.x, y.y), pack_bf16(y.z, y.w)};
    }
}

/// Grid (heads * parts, items). S is what C is stored in; the arithmetic is float32, and sums are made of the new C before it is rounded.
template <typename S>
__device__ void cell_stream(const CellStreamArgs& a)
{
    constexpr int Count = Vector<S>::Count;
    let_next_start();
    CellItem item = a.items[block_y()];
    if (!item.state)
    {
        wait_for_previous();
        return;
    }

    int parts = a.dqk / a.part_rows, head = block_x() / parts, part = block_x() % parts;
    int row_bytes = a.dv * sizeof(S), copy_rows = a.part_rows / Copies, copy_bytes = copy_rows * row_bytes;
    byte* tile = shared_memory;                                  // [part_rows][dv]
    float2* qk = (float2*)(tile + a.part_rows * row_bytes);      // [part_rows]: q, b k
    float* partial = (float*)(qk + a.part_rows);                 // [Threads][Count]
    ulong* barriers = (ulong*)(partial + Threads * Count);       // [Copies]
    float2* scratch = (float2*)(barriers + Copies);              // [2 Warps]
    uint* before = (uint*)(scratch + 2 * Warps);
    float* state = item.state + a.block_offset;
    S* c = (S*)state + ((long)head * a.dqk + part * a.part_rows) * a.dv;
    int thread = thread_index();
    if (thread == 0)
    {
        // The state was last written a whole step ago: fetching it needs no waiting.
        for (int i = 0; i < Copies; i++)
        {
            barrier_init(shared_address(barriers + i), 1);
            barrier_init_done();
            barrier_expect(shared_address(barriers + i), copy_bytes);
            copy_bulk_once(shared_address(tile + i * copy_bytes), (const byte*)c + (long)i * copy_bytes, copy_bytes, shared_address(barriers + i));
        }
    }

    warp_meet(); // other lanes would hold this one up, once they wait for the kernel in front
    float* vectors = state + vectors_offset<S>(a.heads, a.dqk, a.dv);
    float m = vectors[a.heads * a.dqk + head];
    wait_for_previous();
    long token = item.first_row;
    const float* q = a.qkvo + token * a.ld + head * a.dqk + part * a.part_rows;
    const float* k = q + a.heads * a.dqk;
    const float* v = a.qkvo + token * a.ld + 2 * a.heads * a.dqk + head * a.dv;
    const float* gates = a.gates + token * 2 * a.heads + head;
    int row_threads = a.dv / Count, rows_at_once = Threads / row_threads;
    int column = thread % row_threads * Count, first_row = thread / row_threads;
    float vs[Count], h[Count];
#pragma unroll
    for (int i = 0; i < Count; i += 4)
    {
        float4 four = *(const float4*)(v + column + i);
        vs[i] = four.x;
        vs[i + 1] = four.y;
        vs[i + 2] = four.z;
        vs[i + 3] = four.w;
    }

    CellScalars s = cell_scalars(gates[0], gates[a.heads], m, a.gate_cap);
    float q_scale = 1.0f / sqrt_of((float)a.dqk);
    for (int j = thread; j < a.part_rows; j += Threads)
    {
        qk[j] = {q[j] * q_scale, s.b * k[j]};
    }

#pragma unroll
    for (int i = 0; i < Count; i++)
    {
        h[i] = 0.0f;
    }

    __syncthreads();
    for (int i = 0; i < Copies; i++)
    {
        barrier_wait(shared_address(barriers + i), 0);
        for (int row = i * copy_rows + first_row; row < (i + 1) * copy_rows; row += rows_at_once)
        {
            uint4* place = (uint4*)(tile + row * row_bytes + column * sizeof(S));
            float cell[Count];
            Vector<S>::widen_all(*place, cell);
            float2 of_row = qk[row];
#pragma unroll
            for (int j = 0; j < Count; j++)
            {
                cell[j] = fma_of(of_row.y, vs[j], s.a * cell[j]);
                h[j] = fma_of(of_row.x, cell[j], h[j]);
            }

            *place = Vector<S>::narrow_all(cell);
        }

        copies_see_writes();
        __syncthreads();
        if (thread == 0)
        {
            copy_bulk_out((byte*)c + (long)i * copy_bytes, shared_address(tile + i * copy_bytes), copy_bytes);
        }
    }

#pragma unroll
    for (int i = 0; i < Count; i++)
    {
        partial[first_row * a.dv + column + i] = h[i];
    }

    __syncthreads();
    float* sums = a.sums + ((long)part * a.tokens + token) * a.heads * a.dv + head * a.dv;
    for (int j = thread; j < a.dv; j += Threads)
    {
        float sum = 0;
        for (int row = 0; row < rows_at_once; row++)
        {
            sum += partial[row * a.dv + j];
        }

        sums[j] = sum;
    }

    uint* arrived = a.arrived + block_y() * a.heads + head;
    fence_device();
    __syncthreads();
    if (thread == 0)
    {
        *before = arrive_in_memory(arrived);
    }

    __syncthreads();
    if ((int)*before == parts - 1)
    {
        fence_device();
        if (thread == 0)
        {
            *arrived = 0;
        }

        finish_head(a, vectors, token, head, parts, scratch);
    }

    if (thread == 0)
    {
        copies_out_have_read();
    }
}

extern "C" __global__ void LAUNCH_BOUNDS(Threads, 3) cell_stream_c32(const CellStreamArgs a) { cell_stream<float>(a); }
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 3) cell_stream_c16(const CellStreamArgs a) { cell_stream<bf16>(a); }
