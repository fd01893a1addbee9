// A few rows times a bfloat16 matrix on compute capability 9.0: decoding a batch. Bound by the weights' way from memory, so the
// weights are the tall operand of the tensor cores' products and the tokens the short one. A block of threads makes a tile of
// rows; where that would be too few blocks, those of a cluster share the columns of one tile and add up their sums, in the order
// of the columns, in each other's shared memory. For an even number of rows, and outputs of even rows. One file for each number
// of tokens: the driver compiles a file when it is first needed.
#pragma once
#include "async.cuh"
#include "cluster.cuh"
#include "matmul.cuh"
#include "wgmma.cuh"

constexpr int TileCols = 64;
constexpr int BoxRows = 64; // rows of the weights of a warpgroup, and of one copy
constexpr int BoxBytes = BoxRows * TileCols * 2;
constexpr int MaxGroups = 3;
constexpr int MaxStages = 16;

extern __shared__ __attribute__((aligned(1024))) byte shared_memory[];

struct FewArgs
{
    MatMulArgs product;
    const void* input_map;   // CUtensorMap of [*, cols] in boxes [Tokens, TileCols]
    const void* weights_map; // of [rows, cols] in boxes [BoxRows, TileCols]
    int stages;              // of the ring
};

/// Four sums of a thread as a product leaves them: two neighbouring tokens of a row, and of the row 8 below. Rows lie across
/// lanes, four lanes apart; two neighbours swap, so that each has a pair of rows of one token.
template <Result Kind>
__device__ void finish_four(const MatMulArgs& a, int first_row, int first_token, const float4& sums)
{
    bool odd = lane_index() & 4;
    int token = first_token + lane_index() % 4 * 2 + odd;
#pragma unroll
    for (int half = 0; half < 2; half++)
    {
        float left = half ? sums.z : sums.x, right = half ? sums.w : sums.y;
        float kept = odd ? right : left, other = shuffle_xor(odd ? left : right, 4);
        int row = first_row + half * 8 + lane_index() / 8 * 2;
        if (row < a.rows && token < a.tokens)
        {
            float2 bias = a.bias ? *(const float2*)(a.bias + row) : float2{0, 0};
            put_pair<bf16, Kind>(a, token, row, (odd ? other : kept) + bias.x, (odd ? kept : other) + bias.y);
        }
    }
}

/// Grid (blocks of a cluster, tiles at a time); 128 threads for each 64 rows of a tile, and a warp that fetches.
template <int Tokens, Result Kind>
__device__ void mat_mul(const FewArgs& args)
{
    constexpr int Sums = Tokens / 2; // of a thread
    const MatMulArgs& a = args.product;
    let_next_start();
    int consumers = thread_count() - WarpSize, groups = consumers / 128;
    uint weights_bytes = groups * BoxBytes, stage_bytes = weights_bytes + Tokens * TileCols * 2;
    uint base = (shared_address(shared_memory) + 1023) & ~1023u; // tiles must start there
    uint full = base + args.stages * stage_bytes, empty = full + MaxStages * 8;
    int tile_rows = groups * BoxRows, tiles = (a.rows + tile_rows - 1) / tile_rows;
    int steps = a.cols / TileCols, rank = block_x(), ranks = grid_x();
    int begin = steps * rank / ranks, end = steps * (rank + 1) / ranks, ahead = min_of(args.stages, end - begin);
    int step = begin, tile = block_y(); // that are copied next
    auto fetch_weights = [&](int stage)
    {
        uint place = base + stage * stage_bytes;
        barrier_expect(full + stage * 8, stage_bytes);
        for (int box = 0; box < groups; box++)
        {
            copy_tile_once(place + box * BoxBytes, args.weights_map, step * TileCols, tile * tile_rows + box * BoxRows, full + stage * 8);
        }
    };
    if (thread_index() == consumers)
    {
        // Weights depend on nothing: the ring fills while the kernel in front is still running. Making barriers takes long, so each
        // is made when it is needed.
        for (int stage = 0; stage < args.stages; stage++)
        {
            barrier_init(full + stage * 8, 1);
            barrier_init(empty + stage * 8, consumers / WarpSize);
            barrier_init_done();
            if (stage < ahead)
            {
                fetch_weights(stage);
                step++;
            }
        }
    }

    __syncthreads();
    if (thread_index() >= consumers)
    {
        if (thread_index() > consumers)
        {
            return; // not to wait for the kernel in front: the whole warp would
        }

        auto fetch_input = [&](int stage, int of_step)
        {
            copy_tile(base + stage * stage_bytes + weights_bytes, args.input_map, of_step * TileCols, 0, full + stage * 8);
        };
        wait_for_previous();
        for (int stage = 0; stage < ahead; stage++)
        {
            fetch_input(stage, begin + stage);
        }

        int stage = ahead == args.stages ? 0 : ahead;
        uint parity = ahead == args.stages ? 0 : 1; // stages not filled yet are empty
        while (true)
        {
            if (step == end)
            {
                step = begin;
                tile += grid_y();
                if (tile >= tiles)
                {
                    break;
                }
            }

            barrier_wait(empty + stage * 8, parity);
            fetch_weights(stage);
            fetch_input(stage, step++);
            if (++stage == args.stages)
            {
                stage = 0;
                parity ^= 1;
            }
        }

        return;
    }

    wait_for_previous();
    int thread = thread_index(), group = thread / 128, warp = warp_index();
    int stage = 0;
    uint parity = 0;
    for (int tile = block_y(); tile < tiles; tile += grid_y())
    {
        float sums[Sums];
#pragma unroll
        for (int i = 0; i < Sums; i++)
        {
            sums[i] = 0;
        }

        int last_stage = 0;
        for (int step = begin; step < end; step++)
        {
            barrier_wait(full + stage * 8, parity);
            uint place = base + stage * stage_bytes;
            ulong left = tile_descriptor(place + group * BoxBytes), right = tile_descriptor(place + weights_bytes);
            wgmma_begin();
#pragma unroll
            for (int k = 0; k < TileCols / 16; k++)
            {
                wgmma(sums, left + k * 2, right + k * 2);
            }

            wgmma_commit();
            wgmma_wait<1>(); // the step before this one is done with its stage
            if (step > begin && lane_index() == 0)
            {
                barrier_arrive(empty + last_stage * 8);
            }

            last_stage = stage;
            if (++stage == args.stages)
            {
                stage = 0;
                parity ^= 1;
            }
        }

        wgmma_wait<0>();
        if (lane_index() == 0)
        {
            barrier_arrive(empty + last_stage * 8);
        }

        int first_row = tile * tile_rows;
        if (ranks == 1)
        {
#pragma unroll
            for (int i = 0; i < Sums; i += 4)
            {
                finish_four<Kind>(a, first_row + warp * 16, i * 2, {sums[i], sums[i + 1], sums[i + 2], sums[i + 3]});
            }

            continue;
        }

        // There is no other tile, so the ring is free once all consumers are here: for the sums, [Sums / 4][consumers].
        barrier_of_first(1, consumers);
#pragma unroll
        for (int i = 0; i < Sums; i += 4)
        {
            store_shared(base + (i / 4 * consumers + thread) * 16, {sums[i], sums[i + 1], sums[i + 2], sums[i + 3]});
        }

        cluster_arrive();
        cluster_wait();
        int warps = consumers / WarpSize, parts = Sums / 4 * warps;
        for (int part = parts * rank / ranks + warp; part < parts * (rank + 1) / ranks; part += warps)
        {
            float4 total = {0, 0, 0, 0};
            for (int other = 0; other < ranks; other++)
            {
                float4 v = load_cluster(cluster_address(base + (part * WarpSize + lane_index()) * 16, other));
                total = {total.x + v.x, total.y + v.y, total.z + v.z, total.w + v.w};
            }

            finish_four<Kind>(a, first_row + part % warps * 16, part / warps * 8, total);
        }

        cluster_arrive();
        cluster_wait(); // others may still read here
    }
}

#define MAT_MUL(name, tokens, kind) \
    extern "C" __global__ void LAUNCH_BOUNDS(MaxGroups * 128 + WarpSize, 1) name(const FewArgs args) { mat_mul<tokens, kind>(args); }

// The number after a name: tokens of a tile.
#define MAT_MUL_ALL(tokens) \
    MAT_MUL(few_store_##tokens, tokens, StoreResult) \
    MAT_MUL(few_store_half_##tokens, tokens, StoreHalfResult) \
    MAT_MUL(few_add_##tokens, tokens, AddResult) \
    MAT_MUL(few_swiglu_##tokens, tokens, SwiGluResult) \
    MAT_MUL(few_cap_##tokens, tokens, CapResult)
