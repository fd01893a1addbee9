// A few rows times an int8 or int4 matrix, on tensor cores: decoding a batch. The panels' weights go from memory to registers as
// the tensor cores take them; a step of theirs is a group of 32 columns, whose sums are scaled one by one.
#include "quantized.cuh"

constexpr int Threads = 256;
constexpr int Warps = Threads / WarpSize;

/// Pairs of groups that a warp fetches ahead.
constexpr int Ahead = 4;

extern __shared__ float shared_memory[]; // [units' panels][Warps][tokens][16]

struct QuantizeRowsArgs
{
    const bf16* input; // [T, cols]
    byte* bytes;       // [T, BytesPerValue, cols]
    float2* scales;    // [cols / 32, padded_tokens]
    int cols;
    int padded_tokens;
};

/// Rounds rows, grid (T, parts of 1,024 columns).
template <bool Fine>
__device__ void quantize_rows(const QuantizeRowsArgs& a)
{
    let_next_start();
    wait_for_previous();
    int token = block_x(), k = (block_y() * Threads + thread_index()) * 4;
    float4 v = {0, 0, 0, 0};
    if (k < a.cols)
    {
        uint2 four = *(const uint2*)(a.input + (long)token * a.cols + k);
        v = {low_half(four.x), high_half(four.x), low_half(four.y), high_half(four.y)};
    }

    byte* bytes = a.bytes + (long)token * a.cols * BytesPerValue<Fine> + k;
    store_group<Fine>(v, k < a.cols, bytes, a.cols, a.scales + (long)(k / GroupCols) * a.padded_tokens + token);
}

extern "C" __global__ void LAUNCH_BOUNDS(Threads, 4) quantize_rows_int8(const QuantizeRowsArgs a) { quantize_rows<false>(a); }
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 4) quantize_rows_int16(const QuantizeRowsArgs a) { quantize_rows<true>(a); }

/// What becomes of a sum, where gate and up do not meet.
enum RowsResult { StoreRows, StoreHalfRows, AddRows, CapRows };

struct FewArgs
{
    const byte* weights;
    const float* bias;    // [rows] or null; gate's and up's in turn
    const byte* input;    // [T, BytesPerValue, cols]; rows past T are read, and their results dropped
    const float2* scales; // [cols / 32, padded_tokens]
    void* out;            // [T, ld]
    PanelParts parts;
    int tokens;
    int padded_tokens;    // a multiple of 8 that the kernel is compiled for
    int cols;             // whole pairs of groups
    int ld;
    RowsResult kind;
    float cap;
};

/// A lane's share of a pair of groups: the columns 8 (lane % 4) to + 7 of each group, of rows 2 (lane / 4) and + 1. The order of
/// rows and columns within a product is free, and this one is neighbouring bytes.
template <typename W> struct Fragments
{
    static constexpr int Words = W::HeaderBytes == 0 ? 2 : 1;

    uint2 weights[2][Words];
    uint scales[2];
    uint minima[2];

    __device__ void load(const byte* pair)
    {
        int row_pair = lane_index() / 4, part = lane_index() % 4;
#pragma unroll
        for (int group = 0; group < 2; group++)
        {
            const byte* source = pair + ScaleLine + group * W::GroupBytes + row_pair * 8;
#pragma unroll
            for (int i = 0; i < Words; i++)
            {
                weights[group][i] = *(const uint2*)(source + (part * Words + i) * (PanelRows * 4));
            }

            const byte* line = pair + group * (PanelRows * 2);
            if constexpr (W::HeaderBytes == 0)
            {
                scales[group] = *(const uint*)(line + row_pair * 4);
            }
            else
            {
                scales[group] = *(const bf16*)(line + row_pair * 2);
                minima[group] = *(const bf16*)(line + PanelRows + row_pair * 2);
            }
        }
    }

    __device__ void words(int group, uint (&a)[4]) const
    {
        uint2 first = weights[group][0];
        if constexpr (W::HeaderBytes == 0)
        {
            uint2 second = weights[group][Words - 1];
            a[0] = first.x, a[1] = first.y, a[2] = second.x, a[3] = second.y;
        }
        else
        {
            constexpr uint Nibbles = 0x0F0F0F0F;
            a[0] = first.x & Nibbles, a[1] = first.y & Nibbles, a[2] = (first.x >> 4) & Nibbles, a[3] = (first.y >> 4) & Nibbles;
        }
    }
};

/// d and dm of a lane's two rows.
template <typename W> struct RowScales
{
    float2 d;
    float2 dm;

    __device__ void load(const byte* panel)
    {
        if constexpr (W::HeaderBytes > 0)
        {
            d = *(const float2*)(panel + lane_index() / 4 * 8);
            dm = *(const float2*)(panel + PanelRows * 4 + lane_index() / 4 * 8);
        }
    }
};

/// A warp's way through its pairs of groups of all panels of its block of threads.
struct Walk
{
    int panel;
    int pair;

    __device__ Walk() : panel(0), pair(warp_index()) {}

    __device__ void next(int pairs)
    {
        pair += Warps;
        if (pair >= pairs)
        {
            pair = warp_index();
            panel++;
        }
    }
};

__device__ void finish_row(const FewArgs& a, int token, int row, float value)
{
    long place = (long)token * a.ld + row;
    float* out = (float*)a.out + place;
    switch (a.kind)
    {
        case StoreRows: *out = value; break;
        case StoreHalfRows: ((bf16*)a.out)[place] = round_to_bf16(value); break;
        case AddRows: *out += value; break;
        default: *out = soft_cap(value, a.cap); break;
    }
}

/// Tiles: eights of tokens, grid (blocks, Tiles of them). Paired: gate and up. Fine: an input of 16 bits.
template <typename W, int Tiles, bool Paired, bool Fine>
__device__ void mat_mul(const FewArgs& a)
{
    using Range = PanelRange<Paired ? SwiGluResult : StoreResult>;
    constexpr int Tokens = Tiles * 8, PerUnit = Range::PerUnit;
    let_next_start();
    Range range(a.parts);
    int pairs = a.cols / PairCols, count = range.count(), lane = lane_index(), first_token = block_y() * Tokens;
    long panel_bytes = W::HeaderBytes + (long)pairs * W::PairBytes;
    auto panel_at = [&](int i) { return a.weights + range[i] * panel_bytes; };

    // Weights depend on nothing: they are fetched while the kernel in front is still running.
    Walk ahead;
    bool has_pairs = warp_index() < pairs;
    Fragments<W> ring[Ahead];
    auto fetch = [&](Fragments<W>& fragments)
    {
        if (has_pairs && ahead.panel < count)
        {
            fragments.load(panel_at(ahead.panel) + W::HeaderBytes + (long)ahead.pair * W::PairBytes);
            ahead.next(pairs);
        }
    };
#pragma unroll
    for (int i = 0; i < Ahead; i++)
    {
        fetch(ring[i]);
    }

    wait_for_previous();
    float sums[Tiles][4];
    RowScales<W> of_rows;
    auto multiply = [&](const Fragments<W>& fragments, int pair)
    {
#pragma unroll
        for (int group = 0; group < 2; group++)
        {
            uint words[4];
            fragments.words(group, words);
            int of_group = pair * 2 + group;
            float2 scale, minimum = {0, 0};
            if constexpr (W::HeaderBytes == 0)
            {
                scale = {low_half(fragments.scales[group]), high_half(fragments.scales[group])};
            }
            else
            {
                scale = {of_rows.d.x * byte_to_float(fragments.scales[group] & 0xFF), of_rows.d.y * byte_to_float(fragments.scales[group] >> 8)};
                minimum = {of_rows.dm.x * byte_to_float(fragments.minima[group] & 0xFF), of_rows.dm.y * byte_to_float(fragments.minima[group] >> 8)};
            }

#pragma unroll
            for (int tile = 0; tile < Tiles; tile++)
            {
                const byte* values = a.input + (long)(first_token + tile * 8 + lane / 4) * a.cols * BytesPerValue<Fine> + of_group * GroupCols + lane % 4 * 8;
                float4 of_tokens = *(const float4*)(a.scales + (long)of_group * a.padded_tokens + first_token + tile * 8 + lane % 4 * 2);
                int d[4], low[4];
                mma_bytes(d, words, *(const uint2*)values, FloatOfZero);
                if constexpr (Fine)
                {
                    mma_bytes(low, words, *(const uint2*)(values + a.cols), FloatOfZero);
                }

                auto product = [&](int i) { return dot_to_float<Fine>(d[i], low[i]); };
                sums[tile][0] = fma_of(product(0), scale.x * of_tokens.x, sums[tile][0]);
                sums[tile][1] = fma_of(product(1), scale.x * of_tokens.z, sums[tile][1]);
                sums[tile][2] = fma_of(product(2), scale.y * of_tokens.x, sums[tile][2]);
                sums[tile][3] = fma_of(product(3), scale.y * of_tokens.z, sums[tile][3]);
                if constexpr (W::HeaderBytes > 0)
                {
                    sums[tile][0] = fma_of(-minimum.x, of_tokens.y, sums[tile][0]);
                    sums[tile][1] = fma_of(-minimum.x, of_tokens.w, sums[tile][1]);
                    sums[tile][2] = fma_of(-minimum.y, of_tokens.y, sums[tile][2]);
                    sums[tile][3] = fma_of(-minimum.y, of_tokens.w, sums[tile][3]);
                }
            }
        }
    };
    auto begin = [&](int i)
    {
        of_rows.load(panel_at(i));
#pragma unroll
        for (int tile = 0; tile < Tiles; tile++)
        {
#pragma unroll
            for (int j = 0; j < 4; j++)
            {
                sums[tile][j] = 0;
            }
        }
    };
    auto end = [&](int i)
    {
        float* partial = shared_memory + (i % PerUnit * Warps + warp_index()) * Tokens * PanelRows;
#pragma unroll
        for (int tile = 0; tile < Tiles; tile++)
        {
#pragma unroll
            for (int j = 0; j < 4; j++)
            {
                int token = tile * 8 + lane % 4 * 2 + j % 2, row = lane / 4 * 2 + j / 2;
                partial[token * PanelRows + row] = sums[tile][j];
            }
        }

        if (i % PerUnit != PerUnit - 1)
        {
            return;
        }

        __syncthreads();
        int unit = range.first + i / PerUnit;
        for (int place = thread_index(); place < min_of(Tokens, a.tokens - first_token) * PanelRows; place += Threads)
        {
            float totals[PerUnit];
#pragma unroll
            for (int part = 0; part < PerUnit; part++)
            {
                totals[part] = 0;
#pragma unroll
                for (int warp = 0; warp < Warps; warp++)
                {
                    totals[part] += shared_memory[(part * Warps + warp) * Tokens * PanelRows + place];
                }
            }

            int token = first_token + place / PanelRows, row_in_panel = place % PanelRows;
            if constexpr (Paired)
            {
                int row = unit * PanelRows + row_in_panel;
                if (row < a.parts.first_row[1])
                {
                    float gate = totals[0] + (a.bias ? a.bias[2 * row] : 0.0f), up = totals[PerUnit - 1] + (a.bias ? a.bias[2 * row + 1] : 0.0f);
                    ((bf16*)a.out)[(long)token * a.ld + row] = round_to_bf16(gate * sigmoid(gate) * up);
                }
            }
            else
            {
                int row = Range::row_of(a.parts, unit, row_in_panel);
                if (row >= 0)
                {
                    finish_row(a, token, row, totals[0] + (a.bias ? a.bias[row] : 0.0f));
                }
            }
        }

        __syncthreads();
    };

    // Every warp comes by every panel's end, with or without a share of it, since they meet there.
    Walk now;
    int begun = 0;
    if (count > 0)
    {
        begin(0);
    }

    while (has_pairs && now.panel < count)
    {
#pragma unroll
        for (int i = 0; i < Ahead; i++)
        {
            if (now.panel < count)
            {
                multiply(ring[i], now.pair);
                fetch(ring[i]);
                now.next(pairs);
                if (now.panel != begun)
                {
                    end(begun++);
                    if (begun < count)
                    {
                        begin(begun);
                    }
                }
            }
        }
    }

    for (; begun < count; begun++)
    {
        end(begun);
    }
}

#define MAT_MUL(weights, suffix, tiles) \
    extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) matmul_few_##suffix##_##tiles(const FewArgs args) { mat_mul<weights, tiles, false, false>(args); } \
    extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) matmul_few_fine_##suffix##_##tiles(const FewArgs args) { mat_mul<weights, tiles, false, true>(args); } \
    extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) matmul_few_swiglu_##suffix##_##tiles(const FewArgs args) { mat_mul<weights, tiles, true, false>(args); }

// The number after a name: eights of tokens.
MAT_MUL(Int8, int8, 1)
MAT_MUL(Int8, int8, 2)
MAT_MUL(Int8, int8, 4)
MAT_MUL(Int4, int4, 1)
MAT_MUL(Int4, int4, 2)
MAT_MUL(Int4, int4, 4)
