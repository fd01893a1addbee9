// Many rows times a float32 matrix, in float32 throughout.
#include "matmul.cuh"

constexpr int Tile = 64;
constexpr int TileCols = 16;
constexpr int Threads = 256;
constexpr int Micro = 4;

/// Each thread makes 4 tokens by 4 rows of a tile of 64 by 64.
template <Result Kind>
__device__ void mat_mul(const MatMulArgs& a)
{
    __shared__ float input[TileCols][Tile + 4], weights[TileCols][Tile + 4];
    let_next_start();
    wait_for_previous();
    int first_token = block_x() * Tile, first_row = block_y() * Tile;
    int thread = thread_index();
    int load_row = thread / 4, load_col = thread % 4 * 4;
    int token = thread / 16 * Micro, row = thread % 16 * Micro;
    float sums[Micro][Micro] = {};
    float4 zero = {0, 0, 0, 0};
    for (int k = 0; k < a.cols; k += TileCols)
    {
        float4 x = first_token + load_row < a.tokens ? *(const float4*)((const float*)a.input + (long)(first_token + load_row) * a.cols + k + load_col) : zero;
        float4 w = first_row + load_row < a.rows ? *(const float4*)((const float*)a.weights + (long)(first_row + load_row) * a.cols + k + load_col) : zero;
        __syncthreads();
        input[load_col][load_row] = x.x;
        input[load_col + 1][load_row] = x.y;
        input[load_col + 2][load_row] = x.z;
        input[load_col + 3][load_row] = x.w;
        weights[load_col][load_row] = w.x;
        weights[load_col + 1][load_row] = w.y;
        weights[load_col + 2][load_row] = w.z;
        weights[load_col + 3][load_row] = w.w;
        __syncthreads();
#pragma unroll
        for (int c = 0; c < TileCols; c++)
        {
            float4 left = *(const float4*)&input[c][token];
            float4 right = *(const float4*)&weights[c][row];
            float l[Micro] = {left.x, left.y, left.z, left.w}, r[Micro] = {right.x, right.y, right.z, right.w};
#pragma unroll
            for (int i = 0; i < Micro; i++)
            {
#pragma unroll
                for (int j = 0; j < Micro; j++)
                {
                    sums[i][j] = fma_of(l[i], r[j], sums[i][j]);
                }
            }
        }
    }

#pragma unroll
    for (int i = 0; i < Micro; i++)
    {
        finish<float, Kind>(a, first_token + token + i, first_row + row, sums[i][0], sums[i][1]);
        finish<float, Kind>(a, first_token + token + i, first_row + row + 2, sums[i][2], sums[i][3]);
    }
}

#define MAT_MUL(name, kind) \
    extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) name(const MatMulArgs args) { mat_mul<kind>(args); }

MAT_MUL(matmul_store_f32, StoreResult)
MAT_MUL(matmul_add_f32, AddResult)
MAT_MUL(matmul_swiglu_f32, SwiGluResult)
MAT_MUL(matmul_cap_f32, CapResult)
