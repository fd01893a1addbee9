// Products with weights in panels of 16 interleaved rows, as docs/packed-format.md has them: pairs of groups of 32 columns, 8
// or 4 bits a weight. The input is in 8 bits too, each group with a scale and, for int4's minima, scale times the integers' sum:
// rounded as the CPU rounds it, so that both give the same but for the order of float sums.
#pragma once
#include "step.cuh"

constexpr int PanelRows = 16;
constexpr int GroupCols = 32;
constexpr int PairCols = 2 * GroupCols;
constexpr int ScaleLine = 64;

struct Int8
{
    static constexpr int HeaderBytes = 0;
    static constexpr int GroupBytes = PanelRows * GroupCols;
    static constexpr int PairBytes = ScaleLine + 2 * GroupBytes;
    static constexpr int StagePairs = 8; // of a ring
};

struct Int4
{
    static constexpr int HeaderBytes = 2 * PanelRows * 4;
    static constexpr int GroupBytes = PanelRows * GroupCols / 2;
    static constexpr int PairBytes = ScaleLine + 2 * GroupBytes;
    static constexpr int StagePairs = 16;
};

/// Matrices one under the other, each in whole panels: where the parts end, and their rows among the outputs. Unused parts end
/// where the last one does.
struct PanelParts
{
    int end[4];       // panels
    int first_row[5]; // the fifth is the number of rows
};

/// A matrix in panels times the vector of a step.
struct QuantizedArgs
{
    MatVecArgs product; // weights: panels; rows: of outputs; cols: the input's, whole pairs of groups
    PanelParts parts;
    int stages;         // of the ring, where there is one
    int block_panels;   // most panels of a block of threads
    int padding;
};

/// sum + the dot product of four signed bytes with four signed ones.
__device__ int dot_signed(uint a, uint b, int sum)
{
    asm("dp4a.s32.s32 %0, %1, %2, %0;" : "+r"(sum) : "r"(a), "r"(b));
    return sum;
}

/// One row's sum over its columns: scale times weight times input, and for int4 minimum times input.
struct RowSum
{
    float products;
    float minima;
};

/// A warp's lanes are the rows of a panel twice: the even group of a pair and the odd one. The halves take the words of their
/// groups in another order, so that they read different banks.
template <typename W>
__device__ void multiply_pair(const byte* pair, const byte* x, const float2* scales, RowSum& sum)
{
    int group = lane_index() / PanelRows, row = lane_index() % PanelRows;
    const byte* weights = pair + ScaleLine + group * W::GroupBytes + row * 4;
    float2 scale = scales[group];
    x += group * GroupCols;
    int dot = 0;
    if constexpr (W::HeaderBytes == 0)
    {
#pragma unroll
        for (int i = 0; i < GroupCols / 4; i++)
        {
            int quad = i ^ group;
            dot = dot_signed(*(const uint*)(weights + quad * (PanelRows * 4)), *(const uint*)(x + quad * 4), dot);
        }

        float of_row = widen(*(const bf16*)(pair + group * (PanelRows * 2) + row * 2));
        sum.products = fma_of((float)dot, of_row * scale.x, sum.products);
    }
    else
    {
#pragma unroll
        for (int i = 0; i < GroupCols / 8; i++)
        {
            int step = i ^ group;
            uint eight = *(const uint*)(weights + step * (PanelRows * 4));
            uint2 values = *(const uint2*)(x + step * 8);
            dot = dot_signed(eight & 0x0F0F0F0F, values.x, dot);
            dot = dot_signed((eight >> 4) & 0x0F0F0F0F, values.y, dot);
        }

        const byte* of_row = pair + group * (PanelRows * 2) + row;
        sum.products = fma_of((float)dot, (float)of_row[0] * scale.x, sum.products);
        sum.minima = fma_of((float)of_row[PanelRows], scale.y, sum.minima);
    }
}

/// What a panel's sums are multiplied by: int4's d and dm of each row.
template <typename W> struct PanelScale
{
    float d;
    float dm;

    __device__ void load(const byte* panel)
    {
        if constexpr (W::HeaderBytes > 0)
        {
            const float* header = (const float*)panel + lane_index() % PanelRows;
            d = header[0];
            dm = header[PanelRows];
        }
    }

    /// The sum over both halves of the warp, in every lane.
    __device__ float apply(RowSum sum) const
    {
        float products = sum.products + shuffle_xor(sum.products, PanelRows);
        if constexpr (W::HeaderBytes > 0)
        {
            return d * products - dm * (sum.minima + shuffle_xor(sum.minima, PanelRows));
        }

        return products;
    }
};

__device__ int rounded(float value)
{
    int result;
    asm("cvt.rni.s32.f32 %0, %1;" : "=r"(result) : "f"(value));
    return result;
}

/// Four neighbouring values in 8 bits.
struct FourRounded
{
    uint bytes;
    int sum;
};

__device__ FourRounded round_four(const float4& v, float inverse)
{
    int a = rounded(v.x * inverse), b = rounded(v.y * inverse), c = rounded(v.z * inverse), d = rounded(v.w * inverse);
    uint low = (uint)(a & 0xFF) | (uint)(b & 0xFF) << 8, high = (uint)(c & 0xFF) | (uint)(d & 0xFF) << 8;
    return {low | high << 16, (a + b) + (c + d)};
}

__device__ float largest(const float4& v) { return max_of(max_of(abs_of(v.x), abs_of(v.y)), max_of(abs_of(v.z), abs_of(v.w))); }

/// The scale of a group whose largest magnitude is top, and what its values are multiplied by to be rounded.
__device__ float group_scale(float top, float& inverse)
{
    float scale = top / 127.0f;
    inverse = scale > 1e-35f ? 1.0f / scale : 0.0f;
    return scale;
}

/// Four values of a group that eight neighbouring lanes have, rounded; the sum is the whole group's.
__device__ FourRounded round_group(const float4& v, float& scale)
{
    float top = largest(v), inverse;
#pragma unroll
    for (int mask = 1; mask < 8; mask *= 2)
    {
        top = max_of(top, shuffle_xor(top, mask));
    }

    scale = group_scale(top, inverse);
    FourRounded four = round_four(v, inverse);
#pragma unroll
    for (int mask = 1; mask < 8; mask *= 2)
    {
        four.sum += shuffle_xor(four.sum, mask);
    }

    return four;
}

/// The panels of a block of threads: a range, of pairs of panels where gate and up must meet.
template <Result Out>
struct PanelRange
{
    static constexpr int PerUnit = Out == SwiGluResult ? 2 : 1;

    int first; // unit
    int units;
    int up;    // panels from a gate's to its up's

    __device__ explicit PanelRange(const PanelParts& parts)
    {
        int all = parts.end[3] / PerUnit;
        first = (int)((long)all * block_x() / grid_x());
        units = (int)((long)all * (block_x() + 1) / grid_x()) - first;
        up = all;
    }

    __device__ int count() const { return units * PerUnit; }

    /// The matrix's panel that is this block's i-th.
    __device__ int operator[](int i) const { return PerUnit == 1 ? first + i : first + i / 2 + (i & 1) * up; }

    /// Adds up the warps' sums [warps][PerWarp] and finishes this block's rows.
    template <int Warps>
    __device__ void finish_rows(const MatVecArgs& a, const PanelParts& parts, const float* partial, int per_warp, float scale, int thread, int threads) const
    {
        auto total = [&](int place)
        {
            float sum = 0;
#pragma unroll
            for (int warp = 0; warp < Warps; warp++)
            {
                sum += partial[warp * per_warp + place];
            }

            return sum * scale;
        };
        for (int i = thread; i < units * PanelRows; i += threads)
        {
            int unit = first + i / PanelRows, lane = i % PanelRows;
            if constexpr (Out == SwiGluResult)
            {
                int row = unit * PanelRows + lane;
                if (row < parts.first_row[1])
                {
                    int place = i / PanelRows * 2 * PanelRows + lane;
                    float gate = total(place) + (a.bias ? a.bias[2 * row] : 0.0f);
                    float up = total(place + PanelRows) + (a.bias ? a.bias[2 * row + 1] : 0.0f);
                    finish<Out>(a, 2 * row, gate, up);
                }
            }
            else
            {
                int row = row_of(parts, unit, lane);
                if (row >= 0)
                {
                    finish<Out>(a, row, total(i) + (a.bias ? a.bias[row] : 0.0f), 0.0f);
                }
            }
        }
    }

    /// The output's row of a panel's row; -1 for padding.
    __device__ static int row_of(const PanelParts& parts, int panel, int lane)
    {
        int start = 0;
#pragma unroll
        for (int part = 0; part < 4; part++)
        {
            if (panel < parts.end[part])
            {
                int row = parts.first_row[part] + (panel - start) * PanelRows + lane;
                return row < parts.first_row[part + 1] ? row : -1;
            }

            start = parts.end[part];
        }

        return -1;
    }
};
