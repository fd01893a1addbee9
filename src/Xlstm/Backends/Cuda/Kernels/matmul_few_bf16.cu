// A few rows times a bfloat16 matrix, on tensor cores: decoding a batch. Bound by memory like a step, so tiles are small, to
// occupy every multiprocessor, and the ring is deep.
#include "matmul.cuh"
#include "mma.cuh"

constexpr int TileTokens = 32;
constexpr int TileRows = 32;
constexpr int TileCols = 128;
constexpr int Stages = 6;
constexpr int Threads = 256;
constexpr int RowBytes = TileCols * 2;
constexpr int TileBytes = TileRows * RowBytes;
static_assert(TileTokens == TileRows, "both tiles are fetched alike");

extern __shared__ uint4 shared_memory[];

__device__ int place(int row, int chunk) { return row * RowBytes + ((chunk ^ (row & 7)) * 16); }

__device__ void fetch_tile(byte* tile, const bf16* source, int first_row, int rows, int cols, int k)
{
#pragma unroll
    for (int i = 0; i < TileBytes / 16 / Threads; i++)
    {
        int index = thread_index() + i * Threads;
        int row = index / (RowBytes / 16), chunk = index % (RowBytes / 16);
        bool valid = first_row + row < rows && k + chunk * 8 < cols;
        copy_async_16(tile + place(row, chunk), source + (valid ? (long)(first_row + row) * cols + k + chunk * 8 : 0), valid);
    }
}

template <Result Kind>
__device__ void mat_mul(const MatMulArgs& a)
{
    byte* weights_ring = (byte*)shared_memory; // [Stages][TileRows][TileCols]
    byte* input_ring = weights_ring + Stages * TileBytes;
    let_next_start();
    int first_token = block_x() * TileTokens, first_row = block_y() * TileRows;
    int steps = (a.cols + TileCols - 1) / TileCols;
    auto fetch_weights = [&](int step)
    {
        if (step < steps)
        {
            fetch_tile(weights_ring + step % Stages * TileBytes, (const bf16*)a.weights, first_row, a.rows, a.cols, step * TileCols);
        }
    };
    auto fetch_input = [&](int step)
    {
        if (step < steps)
        {
            fetch_tile(input_ring + step % Stages * TileBytes, (const bf16*)a.input, first_token, a.tokens, a.cols, step * TileCols);
        }
    };

    // Weights depend on nothing: the ring fills while the kernel in front is still running.
    for (int step = 0; step < Stages - 1; step++)
    {
        fetch_weights(step);
    }

    wait_for_previous();
    for (int step = 0; step < Stages - 1; step++)
    {
        fetch_input(step);
        copy_async_commit();
    }

    // A warp makes 16 tokens by 8 rows.
    int warp_token = warp_index() / 4 * 16, warp_row = warp_index() % 4 * 8, lane = lane_index();
    float sums[2][4] = {};
    for (int step = 0; step < steps; step++)
    {
        copy_async_wait<Stages - 2>();
        __syncthreads();
        fetch_weights(step + Stages - 1);
        fetch_input(step + Stages - 1);
        copy_async_commit();
        uint weights = shared_address(weights_ring + step % Stages * TileBytes), input = shared_address(input_ring + step % Stages * TileBytes);
#pragma unroll
        for (int k = 0; k < TileCols / 32; k++)
        {
            uint right[4]; // two steps of 16 columns
            load_matrices(right, weights + place(warp_row + (lane & 7), k * 4 + (lane >> 3)));
#pragma unroll
            for (int half = 0; half < 2; half++)
            {
                uint left[4];
                load_matrices(left, input + place(warp_token + (lane & 15), k * 4 + half * 2 + (lane >> 4)));
                mma_bf16(sums[half], left, right[half * 2], right[half * 2 + 1]);
            }
        }
    }

    int token = first_token + warp_token + lane / 4, row = first_row + warp_row + lane % 4 * 2;
    finish<bf16, Kind>(a, token, row, sums[0][0] + sums[1][0], sums[0][1] + sums[1][1]);
    finish<bf16, Kind>(a, token + 8, row, sums[0][2] + sums[1][2], sums[0][3] + sums[1][3]);
}

#define MAT_MUL(name, kind) \
    extern "C" __global__ void LAUNCH_BOUNDS(Threads, 2) name(const MatMulArgs args) { mat_mul<kind>(args); }

MAT_MUL(matmul_few_store_bf16, StoreResult)
MAT_MUL(matmul_few_store_half_bf16, StoreHalfResult)
MAT_MUL(matmul_few_add_bf16, AddResult)
MAT_MUL(matmul_few_swiglu_bf16, SwiGluResult)
MAT_MUL(matmul_few_cap_bf16, CapResult)
