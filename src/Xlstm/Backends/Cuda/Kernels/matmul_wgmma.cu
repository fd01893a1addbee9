// Many rows times a bfloat16 matrix on compute capability 9.0: one warp has the copy engine fill a ring of tiles, two
// warpgroups multiply them, 64 tokens by 256 rows each.
#include "async.cuh"
#include "matmul.cuh"
#include "wgmma.cuh"

constexpr int TileTokens = 128;
constexpr int TileRows = 256;
constexpr int TileCols = 64;
constexpr int Stages = 4;
constexpr int InputBytes = TileTokens * TileCols * 2;
constexpr int StageBytes = InputBytes + TileRows * TileCols * 2;
constexpr int Consumers = 256;
constexpr int Threads = Consumers + 128;

extern __shared__ __attribute__((aligned(1024))) byte shared_memory[];

struct WgmmaArgs
{
    MatMulArgs product;
    const void* input_map; // CUtensorMap of [T, cols] in boxes [TileTokens, TileCols]
    const void* weights_map; // of [rows, cols] in boxes [TileRows, TileCols]
};

template <Result Kind>
__device__ void mat_mul(const WgmmaArgs& args)
{
    const MatMulArgs& a = args.product;
    let_next_start();
    uint base = (shared_address(shared_memory) + 1023) & ~1023u; // tiles must start there
    uint full = base + Stages * StageBytes, empty = full + Stages * 8;
    if (thread_index() == 0)
    {
        for (int stage = 0; stage < Stages; stage++)
        {
            barrier_init(full + stage * 8, 1);
            barrier_init(empty + stage * 8, Consumers / WarpSize);
        }

        barrier_init_done();
    }

    __syncthreads();
    int first_token = block_x() * TileTokens, first_row = block_y() * TileRows;
    int steps = a.cols / TileCols;
    if (thread_index() >= Consumers)
    {
        wait_for_previous();
        if (thread_index() == Consumers)
        {
            int stage = 0;
            uint parity = 1;
            for (int step = 0; step < steps; step++)
            {
                barrier_wait(empty + stage * 8, parity);
                barrier_expect(full + stage * 8, StageBytes);
                uint tile = base + stage * StageBytes;
                copy_tile(tile, args.input_map, step * TileCols, first_token, full + stage * 8);
                copy_tile(tile + InputBytes, args.weights_map, step * TileCols, first_row, full + stage * 8);
                if (++stage == Stages)
                {
                    stage = 0;
                    parity ^= 1;
                }
            }
        }

        return;
    }

    wait_for_previous();
    int group = thread_index() / 128;
    float sums[128];
#pragma unroll
    for (int i = 0; i < 128; i++)
    {
        sums[i] = 0;
    }

    int stage = 0, last_stage = 0;
    uint parity = 0;
    for (int step = 0; step < steps; step++)
    {
        barrier_wait(full + stage * 8, parity);
        ulong left = tile_descriptor(base + stage * StageBytes + group * (64 * TileCols * 2));
        ulong right = tile_descriptor(base + stage * StageBytes + InputBytes);
        wgmma_begin();
#pragma unroll
        for (int k = 0; k < TileCols / 16; k++)
        {
            wgmma(sums, left + k * 2, right + k * 2);
        }

        wgmma_commit();
        wgmma_wait<1>(); // the step before this one is done with its stage
        if (step > 0 && lane_index() == 0)
        {
            barrier_arrive(empty + last_stage * 8);
        }

        last_stage = stage;
        if (++stage == Stages)
        {
            stage = 0;
            parity ^= 1;
        }
    }

    wgmma_wait<0>();
    int token = first_token + group * 64 + thread_index() / WarpSize % 4 * 16 + lane_index() / 4;
#pragma unroll
    for (int j = 0; j < 32; j++)
    {
        int row = first_row + j * 8 + lane_index() % 4 * 2;
        finish<bf16, Kind>(a, token, row, sums[j * 4], sums[j * 4 + 1]);
        finish<bf16, Kind>(a, token + 8, row, sums[j * 4 + 2], sums[j * 4 + 3]);
    }
}

#define MAT_MUL(name, kind) \
    extern "C" __global__ void LAUNCH_BOUNDS(Threads, 1) name(const WgmmaArgs args) { mat_mul<kind>(args); }

MAT_MUL(wgmma_store, StoreResult)
MAT_MUL(wgmma_store_half, StoreHalfResult)
MAT_MUL(wgmma_add, AddResult)
MAT_MUL(wgmma_swiglu, SwiGluResult)
