// Many rows times a bfloat16 matrix, on tensor cores (mma.sync, compute capability 8.0).
#include "matmul.cuh"
#include "mma.cuh"

constexpr int TileTokens = 128;
constexpr int TileRows = 128;
constexpr int TileCols = 32;
constexpr int Stages = 4;
constexpr int Threads = 256;
constexpr int TileBytes = TileTokens * TileCols * 2;
static_assert(TileTokens == TileRows, "both tiles are fetched alike");

extern __shared__ uint4 shared_memory[];

/// Byte of the 16-byte chunk of a row of a tile; swizzled so that 8 neighbouring rows' chunks lie in different banks.
__device__ int place(int row, int chunk) { return row * (TileCols * 2) + ((chunk ^ ((row >> 1) & 3)) * 16); }

__device__ void fetch_tile(byte* tile, const bf16* source, int first_row, int rows, int cols, int k)
{
#pragma unroll
    for (int i = 0; i < TileBytes / 16 / Threads; i++)
    {
        int index = thread_index() + i * Threads;
        int row = index / 4, chunk = index % 4;
        bool valid = first_row + row < rows;
        copy_async_16(tile + place(row, chunk), source + (long)(valid ? first_row + row : 0) * cols + k + chunk * 8, valid);
    }
}

template <Result Kind>
__device__ void mat_mul(const MatMulArgs& a)
{
    byte* tiles = (byte*)shared_memory; // [Stages][input tile, weights tile]
    let_next_start();
    wait_for_previous();
    int first_token = block_x() * TileTokens;
    int first_row = block_y() * TileRows;
    int steps = a.cols / TileCols;
    auto fetch = [&](int step)
    {
        if (step < steps)
        {
            byte* stage = tiles + step % Stages * 2 * TileBytes;
            fetch_tile(stage, (const bf16*)a.input, first_token, a.tokens, a.cols, step * TileCols);
            fetch_tile(stage + TileBytes, (const bf16*)a.weights, first_row, a.rows, a.cols, step * TileCols);
        }

        copy_async_commit();
    };
    for (int step = 0; step < Stages - 1; step++)
    {
        fetch(step);
    }

    // A warp makes 64 tokens by 32 rows.
    int warp_token = warp_index() / 4 * 64;
    int warp_row = warp_index() % 4 * 32;
    int lane = lane_index();
    float sums[4][4][4] = {};
    for (int step = 0; step < steps; step++)
    {
        copy_async_wait<Stages - 2>();
        __syncthreads();
        fetch(step + Stages - 1);
        uint input = shared_address(tiles + step % Stages * 2 * TileBytes);
        uint weights = input + TileBytes;
#pragma unroll
        for (int k = 0; k < TileCols / 16; k++)
        {
            uint left[4][4], right[2][4];
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                load_matrices(left[i], input + place(warp_token + i * 16 + (lane & 15), k * 2 + (lane >> 4)));
            }

#pragma unroll
            for (int j = 0; j < 2; j++)
            {
                load_matrices(right[j], weights + place(warp_row + j * 16 + (lane & 7) + (lane >> 4) * 8, k * 2 + ((lane >> 3) & 1)));
            }

#pragma unroll
            for (int i = 0; i < 4; i++)
            {
#pragma unroll
                for (int j = 0; j < 4; j++)
                {
                    mma_bf16(sums[i][j], left[i], right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]);
                }
            }
        }
    }

#pragma unroll
    for (int i = 0; i < 4; i++)
    {
#pragma unroll
        for (int j = 0; j < 4; j++)
        {
            int token = first_token + warp_token + i * 16 + lane / 4;
            int row = first_row + warp_row + j * 8 + lane % 4 * 2;
            finish<bf16, Kind>(a, token, row, sums[i][j][0], sums[i][j][1]);
            finish<bf16, Kind>(a, token + 8, row, sums[i][j][2], sums[i][j][3]);
        }
    }
}

#define MAT_MUL(name, kind) \
    extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) name(const MatMulArgs args) { mat_mul<kind>(args); }

MAT_MUL(matmul_store_bf16, StoreResult)
MAT_MUL(matmul_store_half_bf16, StoreHalfResult)
MAT_MUL(matmul_add_bf16, AddResult)
MAT_MUL(matmul_swiglu_bf16, SwiGluResult)
MAT_MUL(matmul_cap_bf16, CapResult)
