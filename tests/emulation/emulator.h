// What emulated kernels are compiled against: threads of a block as fibers of one thread of the host, which meet where CUDA's would.
#pragma once
#include <cstddef>
#include <cstdint>

struct EmulatedThread
{
    int index, count;             // in the block
    int block[3], grid[3];
};

extern "C" unsigned char *const emulated_shared; // the block's dynamic shared memory
extern EmulatedThread *emulated_self;

/// Something has moved on: who finds that nothing does any more is in a deadlock.
void emulated_progress();

/// Waits for so many threads at a barrier of the block; returns how many of them brought a true condition.
int emulated_barrier(int id, int count, bool condition = false);

/// Threads of the block that have not ended.
int emulated_live();

/// Lays words before the other lanes of the warp and waits for all; returns all lanes' words, [32][Words].
constexpr int EmulatedWords = 8;
const uint32_t (*emulated_exchange(const uint32_t *words, int count))[EmulatedWords];

/// Waits for all lanes of the warp and, as none of the above, for what they have written.
void emulated_warp_meet();

/// The kernel in front has always ended here; what is looked for is a lane that would start a copy while others hold up its warp.
void emulated_wait_for_previous();

/// Barriers in shared memory, by their addresses there.
void emulated_memory_barrier_init(unsigned barrier, unsigned count);
void emulated_memory_barrier_arrive(unsigned barrier, unsigned expected_bytes);
void emulated_memory_barrier_wait(unsigned barrier, unsigned parity);

/// A copy that comes to its end some time later; barrier: where that is reported, in shared memory.
void emulated_copy(unsigned shared, const void *global, unsigned bytes, unsigned barrier);

/// The same of a box of a matrix in rows of 64 bfloat16, which lie in shared memory as the swizzle of 128 bytes has them. map: as the
/// stand-in for the driver writes it.
struct EmulatedMap
{
    const unsigned char *address;
    uint64_t cols, rows, row_bytes;
    uint32_t box_cols, box_rows;
};

void emulated_copy_box(unsigned shared, const EmulatedMap *map, int col, int row, unsigned barrier);

/// Of a cluster: the barrier of all its threads, and the shared memory of one of its blocks.
void emulated_cluster_arrive();
void emulated_cluster_wait();
unsigned char *emulated_cluster_memory(int rank);
