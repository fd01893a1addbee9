// A few rows times a bfloat16 matrix on compute capability 9.0: decoding a batch. Bound by the weights' way from memory, so the
// weights are the tall operand of the tensor cores' products, the tokens the short one, and every block of threads streams
// exactly as much as any other: the tiles' steps over the columns, one tile after the other, are dealt out evenly, wherever in a
// tile that cuts. For an even number of rows, and outputs of even rows. Pieces of a tile meet in memory, and the block that comes last adds them up, in the order of the columns.
#include "async.cuh"
#include "matmul.cuh"
#include "wgmma.cuh"

constexpr int TileCols = 64;
constexpr int BoxRows = 64; // rows of the weights of one product and of one copy
constexpr int BoxBytes = BoxRows * TileCols * 2;
constexpr int MaxStages = 16;

extern __shared__ __attribute__((aligned(1024))) byte shared_memory[];

struct FewArgs
{
    MatMulArgs product;
    const void* input_map;   // CUtensorMap of [*, cols] in boxes [Tokens, TileCols]
    const void* weights_map; // of [rows, cols] in boxes [BoxRows, TileCols]
    float4* pieces;          // [2 grid x][tile of sums]
    uint* arrived;           // [tiles], zero between kernels
    ulong policy;            // of the L2 for weights
    int stages;              // of the ring
};

/// The steps of all tiles, one tile after the other, dealt out to blocks of threads.
struct Share
{
    int steps;
    int blocks;

    __device__ int begin(int block) const { return (int)((long)steps * block / blocks); }
    __device__ int owner(int step) const { return (int)((((long)step + 1) * blocks - 1) / steps); }
};

__device__ void fence_device() { asm volatile("fence.acq_rel.gpu;" ::: "memory"); }

__device__ uint arrive_in_memory(uint* counter)
{
    uint before;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;" : "=r"(before) : "l"(counter) : "memory");
    return before;
}

/// Past the L1, which knows nothing of other multiprocessors' writes.
__device__ float4 load_shared_by_all(const float4* p)
{
    float4 v;
    asm volatile("ld.global.cg.v4.f32 {%0, %1, %2, %3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "l"(p) : "memory");
    return v;
}

/// A tile is Groups * Boxes * BoxRows rows of the weights by Tokens; a warpgroup makes Boxes * BoxRows of the rows.
template <int Tokens, int Groups, int Boxes, Result Kind>
__device__ void mat_mul(const FewArgs& args)
{
    constexpr int Consumers = Groups * 128;
    constexpr int TileRows = Groups * Boxes * BoxRows;
    constexpr uint WeightsBytes = Groups * Boxes * BoxBytes;
    constexpr uint StageBytes = WeightsBytes + Tokens * TileCols * 2;
    constexpr int Sums = Tokens / 2; // of a product, a thread
    const MatMulArgs& a = args.product;
    let_next_start();
    uint base = (shared_address(shared_memory) + 1023) & ~1023u; // tiles must start there
    uint full = base + args.stages * StageBytes, empty = full + MaxStages * 8;
    if (thread_index() == 0)
    {
        for (int stage = 0; stage < args.stages; stage++)
        {
            barrier_init(full + stage * 8, 1);
            barrier_init(empty + stage * 8, Consumers / WarpSize);
        }

        barrier_init_done();
    }

    __syncthreads();
    int steps = a.cols / TileCols;
    Share share = {(a.rows + TileRows - 1) / TileRows * steps, grid_x()};
    int first = share.begin(block_x()), last = share.begin(block_x() + 1);
    if (thread_index() >= Consumers)
    {
        if (thread_index() > Consumers)
        {
            wait_for_previous();
            return;
        }

        int tile = first / steps, step = first % steps;
        auto fetch_weights = [&](int stage)
        {
            uint place = base + stage * StageBytes;
            barrier_expect(full + stage * 8, StageBytes);
#pragma unroll
            for (int box = 0; box < Groups * Boxes; box++)
            {
                copy_tile(place + box * BoxBytes, args.weights_map, step * TileCols, tile * TileRows + box * BoxRows, full + stage * 8, args.policy);
            }

            if (++step == steps)
            {
                step = 0;
                tile++;
            }
        };

        // Weights depend on nothing: the ring fills while the kernel in front is still running.
        int ahead = min_of(args.stages, last - first), first_step = step;
        for (int stage = 0; stage < ahead; stage++)
        {
            fetch_weights(stage);
        }

        wait_for_previous();
        for (int stage = 0; stage < ahead; stage++)
        {
            copy_tile(base + stage * StageBytes + WeightsBytes, args.input_map, (first_step + stage) % steps * TileCols, 0, full + stage * 8);
        }

        int stage = 0;
        uint parity = 0;
        for (int unit = first + ahead; unit < last; unit++)
        {
            barrier_wait(empty + stage * 8, parity);
            int col = step * TileCols;
            fetch_weights(stage);
            copy_tile(base + stage * StageBytes + WeightsBytes, args.input_map, col, 0, full + stage * 8);
            if (++stage == args.stages)
            {
                stage = 0;
                parity ^= 1;
            }
        }

        return;
    }

    wait_for_previous();
    int thread = thread_index(), group = thread / 128, lane = lane_index();
    uint* before = (uint*)(shared_memory + (empty - shared_address(shared_memory)) + MaxStages * 8);
    int stage = 0;
    uint parity = 0;
    for (int unit = first; unit < last;)
    {
        int tile = unit / steps, begin = unit % steps, end = min_of(steps, begin + last - unit);
        unit += end - begin;
        float sums[Boxes][Sums];
#pragma unroll
        for (int box = 0; box < Boxes; box++)
        {
#pragma unroll
            for (int i = 0; i < Sums; i++)
            {
                sums[box][i] = 0;
            }
        }

        int last_stage = 0;
        for (int step = begin; step < end; step++)
        {
            barrier_wait(full + stage * 8, parity);
            uint place = base + stage * StageBytes;
            ulong right = tile_descriptor(place + WeightsBytes);
            wgmma_begin();
#pragma unroll
            for (int box = 0; box < Boxes; box++)
            {
                ulong left = tile_descriptor(place + (group * Boxes + box) * BoxBytes);
#pragma unroll
                for (int k = 0; k < TileCols / 16; k++)
                {
                    wgmma(sums[box], left + k * 2, right + k * 2);
                }
            }

            wgmma_commit();
            wgmma_wait<1>(); // the step before this one is done with its stage
            if (step > begin && lane == 0)
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
        if (lane == 0)
        {
            barrier_arrive(empty + last_stage * 8);
        }

        if (begin > 0 || end < steps)
        {
            // A block has at most two pieces: one that ends a tile, or lies inside it, and one that begins a tile.
            constexpr long PieceVectors = TileRows * Tokens / 4;
            float4* mine = args.pieces + (2 * block_x() + (begin == 0)) * PieceVectors + thread;
#pragma unroll
            for (int box = 0; box < Boxes; box++)
            {
#pragma unroll
                for (int i = 0; i < Sums; i += 4)
                {
                    mine[(box * Sums + i) / 4 * Consumers] = {sums[box][i], sums[box][i + 1], sums[box][i + 2], sums[box][i + 3]};
                }
            }

            int from = share.owner(tile * steps), to = share.owner(tile * steps + steps - 1);
            fence_device();
            barrier_of_some<1, Consumers>();
            if (thread == 0)
            {
                *before = arrive_in_memory(args.arrived + tile);
            }

            barrier_of_some<1, Consumers>();
            if ((int)*before != to - from)
            {
                continue;
            }

            fence_device();
            if (thread == 0)
            {
                args.arrived[tile] = 0;
            }

#pragma unroll
            for (int box = 0; box < Boxes; box++)
            {
#pragma unroll
                for (int i = 0; i < Sums; i++)
                {
                    sums[box][i] = 0;
                }
            }

            for (int block = from; block <= to; block++)
            {
                const float4* piece = args.pieces + (2 * block + (block == from)) * PieceVectors + thread;
#pragma unroll
                for (int box = 0; box < Boxes; box++)
                {
#pragma unroll
                    for (int i = 0; i < Sums; i += 4)
                    {
                        float4 v = load_shared_by_all(piece + (box * Sums + i) / 4 * Consumers);
                        sums[box][i] += v.x;
                        sums[box][i + 1] += v.y;
                        sums[box][i + 2] += v.z;
                        sums[box][i + 3] += v.w;
                    }
                }
            }
        }

        // Rows lie across lanes, four lanes apart; two neighbours swap, so that each has a pair of rows of one token.
        bool odd = lane & 4;
#pragma unroll
        for (int box = 0; box < Boxes; box++)
        {
#pragma unroll
            for (int half = 0; half < 2; half++)
            {
                int row = tile * TileRows + (group * Boxes + box) * BoxRows + warp_index() % 4 * 16 + half * 8 + lane / 8 * 2;
                bool inside = row < a.rows;
                float2 bias = inside && a.bias ? *(const float2*)(a.bias + row) : float2{0, 0};
                int token = lane % 4 * 2 + odd;
#pragma unroll
                for (int i = half * 2; i < Sums; i += 4, token += 8)
                {
                    float kept = odd ? sums[box][i + 1] : sums[box][i];
                    float other = shuffle_xor(odd ? sums[box][i] : sums[box][i + 1], 4);
                    if (inside && token < a.tokens)
                    {
                        put_pair<bf16, Kind>(a, token, row, (odd ? other : kept) + bias.x, (odd ? kept : other) + bias.y);
                    }
                }
            }
        }
    }
}

#define MAT_MUL(name, tokens, groups, boxes, kind) \
    extern "C" __global__ void LAUNCH_BOUNDS(groups * 128 + WarpSize, 1) name(const FewArgs args) { mat_mul<tokens, groups, boxes, kind>(args); }

// The number after a name: tokens of a tile.
#define MAT_MUL_ALL(suffix, tokens, groups, boxes) \
    MAT_MUL(few_store_##suffix, tokens, groups, boxes, StoreResult) \
    MAT_MUL(few_store_half_##suffix, tokens, groups, boxes, StoreHalfResult) \
    MAT_MUL(few_add_##suffix, tokens, groups, boxes, AddResult) \
    MAT_MUL(few_swiglu_##suffix, tokens, groups, boxes, SwiGluResult) \
    MAT_MUL(few_cap_##suffix, tokens, groups, boxes, CapResult)

MAT_MUL_ALL(8, 8, 1, 1)
MAT_MUL_ALL(16, 16, 1, 1)
MAT_MUL_ALL(32, 32, 1, 1)
MAT_MUL_ALL(64, 64, 2, 1)
MAT_MUL_ALL(128, 128, 2, 2)
MAT_MUL_ALL(32b, 32, 2, 1)
MAT_MUL_ALL(64b, 64, 2, 2)
MAT_MUL_ALL(128b, 128, 2, 1)
