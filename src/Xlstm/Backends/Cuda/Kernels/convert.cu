// Weights as they are loaded, to rows of float32 or bfloat16; and 8- and 4-bit panels to rows of bfloat16 for the tensor cores.
#include "quantized.cuh"

constexpr int Threads = 256;

struct ConvertArgs
{
    const void* source;     // [rows, cols] as stored, or panels
    void* out;              // [*, ld]
    ulong* first_bad;       // smallest of base + element of values that the format cannot hold
    ulong base;
    long first_row;         // of the output
    int row_step;           // 2 interleaves two matrices
    int rows;
    int cols;
    int ld;                 // columns from cols to ld become zero
    int source_type;        // 0 float32, 1 bfloat16, 2 float16; 3 panels of float32, 4 panels of bfloat16
};

__device__ float stored(const ConvertArgs& a, int row, int col)
{
    long element = (long)row * a.cols + col;
    int panel = row / PanelRows, lane = row % PanelRows;
    switch (a.source_type)
    {
        case 0: return ((const float*)a.source)[element];
        case 1: return widen(((const bf16*)a.source)[element]);
        case 2: return half_to_float(((const bf16*)a.source)[element]);
        case 3: return ((const float*)a.source)[((long)panel * a.cols + col) * PanelRows + lane];
        default: return widen(((const bf16*)a.source)[(((long)panel * ((a.cols + 1) / 2) + col / 2) * PanelRows + lane) * 2 + col % 2]);
    }
}

template <typename W>
__device__ void convert(const ConvertArgs& a)
{
    for (int row = block_x(); row < a.rows; row += grid_x())
    {
        W* out = (W*)a.out + (a.first_row + (long)row * a.row_step) * a.ld;
        for (int col = thread_index(); col < a.ld; col += Threads)
        {
            float value = 0;
            if (col < a.cols)
            {
                value = stored(a, row, col);
            }

            store_value(out + col, value);
            if (!(abs_of(widen(out[col])) <= 3.4028234663852886e38f))
            {
                atomic_min(a.first_bad, a.base + (ulong)((long)row * a.cols + col));
            }
        }
    }
}

extern "C" __global__ void LAUNCH_BOUNDS(Threads, 4) convert_bf16(const ConvertArgs a) { convert<bf16>(a); }
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 4) convert_f32(const ConvertArgs a) { convert<float>(a); }

struct DequantizeArgs
{
    const byte* panels; // of the first row
    bf16* out;          // [*, cols]
    int first_row;      // of the output
    int row_step;       // 2 interleaves two matrices
    int rows;
    int cols;           // whole pairs of groups
};

template <typename W>
__device__ void dequantize(const DequantizeArgs& a)
{
    let_next_start();
    wait_for_previous();
    // Eight threads write the 64 columns of a row's pair of groups.
    int pairs = a.cols / PairCols, part = thread_index() % 8, lane = thread_index() / 8 % PanelRows;
    int group = part / 4, step = part % 4;
    const byte* panel = a.panels + block_x() * (W::HeaderBytes + (long)pairs * W::PairBytes);
    int row = block_x() * PanelRows + lane;
    if (row >= a.rows)
    {
        return;
    }

    bf16* out = a.out + (a.first_row + (long)row * a.row_step) * a.cols + part * 8;
    for (int pair = block_y() * 2 + thread_index() / 128; pair < pairs; pair += grid_y() * 2)
    {
        const byte* source = panel + W::HeaderBytes + (long)pair * W::PairBytes;
        const byte* weights = source + ScaleLine + group * W::GroupBytes + lane * 4;
        uint4 result;
        if constexpr (W::HeaderBytes == 0)
        {
            float scale = widen(*(const bf16*)(source + group * (PanelRows * 2) + lane * 2));
            uint low = *(const uint*)(weights + step * (2 * PanelRows * 4)), high = *(const uint*)(weights + (step * 2 + 1) * (PanelRows * 4));
            auto value = [=](uint word, int i) { return (float)(signed char)(word >> (8 * i)) * scale; };
            result = {pack_bf16(value(low, 0), value(low, 1)), pack_bf16(value(low, 2), value(low, 3)),
                      pack_bf16(value(high, 0), value(high, 1)), pack_bf16(value(high, 2), value(high, 3))};
        }
        else
        {
            const byte* scales = source + group * (PanelRows * 2) + lane;
            float scale = ((const float*)panel)[lane] * scales[0], minimum = ((const float*)panel)[PanelRows + lane] * scales[PanelRows];
            uint word = *(const uint*)(weights + step * (PanelRows * 4));
            auto value = [=](int i) { return fma_of((float)((word >> (i < 4 ? 8 * i : 8 * i - 28)) & 15), scale, -minimum); };
            result = {pack_bf16(value(0), value(1)), pack_bf16(value(2), value(3)), pack_bf16(value(4), value(5)), pack_bf16(value(6), value(7))};
        }

        *(uint4*)(out + (long)pair * PairCols) = result;
    }
}

extern "C" __global__ void LAUNCH_BOUNDS(Threads, 4) dequantize_int8(const DequantizeArgs a) { dequantize<Int8>(a); }
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 4) dequantize_int4(const DequantizeArgs a) { dequantize<Int4>(a); }

struct EmbedArgs
{
    const void* embeddings; // panels
    const int* ids;         // [T]
    float* x;               // [T, width]
    int cols;               // whole pairs of groups
    int width;
};

/// A row of 8-bit panels a block of threads.
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 4) embed_int8(const EmbedArgs a)
{
    let_next_start();
    wait_for_previous();
    int id = a.ids[block_x()], lane = id % PanelRows;
    const byte* panel = (const byte*)a.embeddings + (long)(id / PanelRows) * (a.cols / PairCols) * Int8::PairBytes;
    for (int k = thread_index(); k < a.width; k += Threads)
    {
        int group = k / GroupCols % 2, in_group = k % GroupCols;
        const byte* pair = panel + (long)(k / PairCols) * Int8::PairBytes;
        float scale = widen(*(const bf16*)(pair + group * (PanelRows * 2) + lane * 2));
        signed char q = ((const signed char*)pair)[ScaleLine + group * Int8::GroupBytes + (in_group / 4 * PanelRows + lane) * 4 + in_group % 4];
        a.x[(long)block_x() * a.width + k] = scale * q;
    }
}
