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

/// Bits of 1.5 2^23: added to an integer of up to 22 bits they make the float of that much more, which is quicker than to convert it.
constexpr uint FloatOfZero = 0x4B400000;
constexpr float FloatBias = 12582912.0f;

/// The float of an integer that was summed up from FloatOfZero.
__device__ float to_float(int biased) { return bits_to_float(biased) - FloatBias; }

/// The float of a byte.
__device__ float byte_to_float(uint value) { return bits_to_float(value | 0x4B000000) - 8388608.0f; }

/// One row's sum over its columns: scale times weight times input, and for int4 minimum times input.
struct RowSum
{
    float products;
    float minima;
};

/// Bytes of a value of the input: 8 bits, or 16, their upper bytes before all their lower ones. Inputs of out_proj, proj_down and lm_head
/// have 16: their rounding errors go straight to the residual stream and the logits, and most of what 8 bits cost is theirs.
template <bool Fine>
constexpr int BytesPerValue = Fine ? 2 : 1;

/// Whether a product's input has 16 bits.
constexpr bool is_fine(Result result) { return result == AddResult || result == CapResult; }

/// The dot product, of upper bytes and lower ones where there are two.
template <bool Fine>
__device__ float dot_to_float(int upper, int lower)
{
    return Fine ? fma_of(to_float(upper), 256.0f, to_float(lower)) : to_float(upper);
}

/// A warp's lanes are the rows of a panel twice: the even group of a pair and the odd one. The halves take the words of their
/// groups in another order, so that they read different banks.
template <typename W, bool Fine>
__device__ void multiply_pair(const byte* pair, const byte* x, const float2* scales, int cols, RowSum& sum)
{
    int group = lane_index() / PanelRows, row = lane_index() % PanelRows;
    const byte* weights = pair + ScaleLine + group * W::GroupBytes + row * 4;
    float2 scale = scales[group];
    x += group * GroupCols;
    int dot = FloatOfZero, low = FloatOfZero;
    if constexpr (W::HeaderBytes == 0)
    {
#pragma unroll
        for (int i = 0; i < GroupCols / 4; i++)
        {
            int quad = i ^ group;
            uint four = *(const uint*)(weights + quad * (PanelRows * 4));
            dot = dot_signed(four, *(const uint*)(x + quad * 4), dot);
            if constexpr (Fine)
            {
                low = dot_signed(four, *(const uint*)(x + cols + quad * 4), low);
            }
        }

        float of_row = widen(*(const bf16*)(pair + group * (PanelRows * 2) + row * 2));
        sum.products = fma_of(dot_to_float<Fine>(dot, low), of_row * scale.x, sum.products);
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
            if constexpr (Fine)
            {
                values = *(const uint2*)(x + cols + step * 8);
                low = dot_signed(eight & 0x0F0F0F0F, values.x, low);
                low = dot_signed((eight >> 4) & 0x0F0F0F0F, values.y, low);
            }
        }

        const byte* of_row = pair + group * (PanelRows * 2) + row;
        sum.products = fma_of(dot_to_float<Fine>(dot, low), byte_to_float(of_row[0]) * scale.x, sum.products);
        sum.minima = fma_of(byte_to_float(of_row[PanelRows]), scale.y, sum.minima);
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

/// Four neighbouring values rounded to integers of at most 22 bits, from FloatOfZero on.
struct FourRounded
{
    uint a, b, c, d;

    __device__ FourRounded(const float4& v, float inverse)
        : a(float_to_bits(fma_of(v.x, inverse, FloatBias))), b(float_to_bits(fma_of(v.y, inverse, FloatBias))),
          c(float_to_bits(fma_of(v.z, inverse, FloatBias))), d(float_to_bits(fma_of(v.w, inverse, FloatBias)))
    {
    }

    __device__ int sum() const { return (int)((a + b) + (c + d) - 4 * FloatOfZero); }

    /// Their lowest bytes, the first one first.
    __device__ uint bytes() const { return pick_bytes(pick_bytes(a, b, 0x0040), pick_bytes(c, d, 0x0040), 0x5410); }

    /// What remains above the lowest bytes, these taken as signed: bytes too, for integers of 16 bits.
    __device__ uint upper_bytes() const { return pick_bytes(pick_bytes(a + 128, b + 128, 0x0051), pick_bytes(c + 128, d + 128, 0x0051), 0x5410); }
};

__device__ float largest(const float4& v) { return max_of(max_of(abs_of(v.x), abs_of(v.y)), max_of(abs_of(v.z), abs_of(v.w))); }

/// The scale of a group whose largest magnitude is top, and what its values are multiplied by to be rounded.
template <bool Fine>
__device__ float group_scale(float top, float& inverse)
{
    constexpr float Largest = Fine ? 127.0f * 256.0f : 127.0f;
    inverse = top > 1e-33f ? Largest * fast_reciprocal(top) : 0.0f;
    return top * (1.0f / Largest);
}

/// Four values of a group that eight neighbouring lanes have, rounded and stored; inside: whether they are any.
template <bool Fine>
__device__ void store_group(const float4& v, bool inside, byte* bytes, int lower_offset, float2* scale_and_sum)
{
    float top = largest(v), inverse;
#pragma unroll
    for (int mask = 1; mask < 8; mask *= 2)
    {
        top = max_of(top, shuffle_xor(top, mask));
    }

    float scale = group_scale<Fine>(top, inverse);
    FourRounded four(v, inverse);
    int sum = four.sum();
#pragma unroll
    for (int mask = 1; mask < 8; mask *= 2)
    {
        sum += shuffle_xor(sum, mask);
    }

    if (inside)
    {
        if constexpr (Fine)
        {
            *(uint*)bytes = four.upper_bytes();
            *(uint*)(bytes + lower_offset) = four.bytes();
        }
        else
        {
            *(uint*)bytes = four.bytes();
        }

        if (lane_index() % 8 == 0)
        {
            *scale_and_sum = {scale, scale * sum};
        }
    }
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
        first = share_start(all, block_x());
        units = share_start(all, block_x() + 1) - first;
        up = all;
    }

    __device__ int count() const { return units * PerUnit; }

    /// The matrix's panel that is this block's i-th.
    __device__ int operator[](int i) const { return PerUnit == 1 ? first + i : first + i / 2 + (i & 1) * up; }

    /// What the thread's row of the output holds, where it is added to: fetched long before it is needed.
    __device__ float residual(const MatVecArgs& a, const PanelParts& parts, int thread) const
    {
        if (Out == AddResult && thread < units * PanelRows)
        {
            int row = row_of(parts, first + thread / PanelRows, thread % PanelRows);
            return row >= 0 ? a.out[row] : 0.0f;
        }

        return 0;
    }

    /// Adds up the warps' sums [warps][PerWarp] and finishes this block's rows.
    template <int Warps>
    __device__ void finish_rows(const MatVecArgs& a, const PanelParts& parts, const float* partial, int per_warp, float scale, float residual, int thread, int threads) const
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
                    float value = total(i) + (a.bias ? a.bias[row] : 0.0f);
                    if (Out == AddResult && i == thread)
                    {
                        a.out[row] = residual + value;
                    }
                    else
                    {
                        finish<Out>(a, row, value, 0.0f);
                    }
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
