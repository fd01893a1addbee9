// Runs kernels on the host: a block of threads, or a cluster of them, after the other, threads as fibers. Shared memory starts as garbage, threads run in an
// order that changes from round to round, copies of the copy engine end late and in any order, and a kernel in which nothing moves any more ends the process.
#include "emulator.h"
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>
#ifdef EMULATED_RACES
#include "races.h"
#endif

constexpr size_t SharedBytes = 228 << 10;

/// What the kernels' files declare, whatever it is to them. Whole pages: the blocks of a cluster take turns at these addresses.
alignas(4096) unsigned char shared_memory[SharedBytes];
unsigned char *const emulated_shared = shared_memory;
EmulatedThread *emulated_self;

namespace
{
constexpr int MaxThreads = 1024, MaxRanks = 8, MaxFibers = MaxThreads * MaxRanks, Barriers = 16, WarpSize = 32;
constexpr size_t StackBytes = 128 << 10;
constexpr long MostIdleRounds = 1000;

struct Warp
{
    uint32_t words[2][WarpSize][EmulatedWords];
    uint8_t generation;
    int arrived;
    bool waits; // a lane of it, for the kernel in front
};

struct Barrier
{
    uint8_t generation;
    int arrived, conditions, result[2];
};

struct Copy
{
    int rank;
    unsigned shared;
    const void *global;
    unsigned bytes, barrier;
    const EmulatedMap *map; // null: bytes
    int col, row;
#ifdef EMULATED_RACES
    int fiber;
    Clocks known; // when it was started
#endif
};

struct Fiber
{
    EmulatedThread thread;
    void *stack_pointer;
    bool done, has_waited; // for the kernel in front
    const volatile uint8_t *waits_for; // to differ from value
    uint8_t value;
    int rank;
    uint8_t cluster_generation;

    bool can_run() const { return !done && !(waits_for && *waits_for == value); }
};

Fiber fibers[MaxFibers];
Warp warps[MaxFibers / WarpSize];
Barrier barriers[MaxRanks][Barriers];
Barrier cluster_barrier;
unsigned char *memories[MaxRanks]; // of the blocks of a cluster, at addresses that stay
int files[MaxRanks], mapped = -1;
std::vector<Copy> copies;
Fiber *self;
void *host_stack;
unsigned char *stacks;
void (*kernel)(const void *);
const void *argument;
int threads, ranks, step, live[MaxRanks];
long idle;
uint32_t random_state = 1;
const char *kernel_name;

[[noreturn]] __attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fprintf(stderr, "emulated GPU: %s: ", kernel_name);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    abort();
}

uint32_t next_random()
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

#if defined(__x86_64__)
// Saves what a function must keep, changes stacks.
extern "C" void emulated_switch(void **from, void *to);
asm(R"(
.text
.type emulated_switch, @function
emulated_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulated_switch, .-emulated_switch
)");
#else
#error "the emulator changes stacks as x86-64 does"
#endif

struct MemoryBarrier // 8 bytes of shared memory
{
    int32_t bytes;
    int16_t pending;
    uint8_t count, phase;

    void change(int arrivals, int32_t expected_bytes)
    {
        bytes += expected_bytes;
        pending -= (int16_t)arrivals;
        if (pending == 0 && bytes == 0)
        {
            phase ^= 1;
            pending = count;
        }

        emulated_progress();
    }
};

// What is known where threads meet, for races.h; nothing where races are not looked for. Barriers are never forgotten: who knew of the last turn of one
// knows of it still, so that a race may be missed, but none invented.
#ifdef EMULATED_RACES
Races races;
Clocks of_warp[MaxFibers / WarpSize], of_barrier[MaxRanks][Barriers], of_cluster;

void tell(Clocks &place) { races.release((int)(self - fibers), place); }
void learn(const Clocks &place) { races.acquire((int)(self - fibers), place); }
#define TELL(place) tell(place)
#define LEARN(place) learn(place)
#else
#define TELL(place) (void)0
#define LEARN(place) (void)0
#endif

unsigned char *memory_of(int rank) { return ranks == 1 ? shared_memory : memories[rank]; }

/// Gives a block of a cluster its turn at the addresses of shared memory.
void map_rank(int rank)
{
    if (ranks > 1 && mapped != rank)
    {
        if (mmap(shared_memory, SharedBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, files[rank], 0) == MAP_FAILED)
        {
            fail("no memory for a cluster: %m");
        }

        mapped = rank;
    }
}

void make_memories()
{
    for (int rank = 0; rank < ranks && ranks > 1; rank++)
    {
        if (!memories[rank])
        {
            files[rank] = memfd_create("shared memory", 0);
            void *memory = files[rank] >= 0 && ftruncate(files[rank], SharedBytes) == 0 ? mmap(nullptr, SharedBytes, PROT_READ | PROT_WRITE, MAP_SHARED, files[rank], 0) : MAP_FAILED;
            if (memory == MAP_FAILED)
            {
                fail("no memory for a cluster: %m");
            }

            memories[rank] = (unsigned char *)memory;
        }
    }
}

void fill_box(const Copy &copy, unsigned char *memory)
{
    const EmulatedMap &map = *copy.map;
    for (uint32_t r = 0; r < map.box_rows; r++)
    {
        for (uint32_t c = 0; c < map.box_cols; c++)
        {
            uint64_t row = (uint64_t)copy.row + r, col = (uint64_t)copy.col + c;
            uint16_t value = 0;
            if (row < map.rows && col < map.cols)
            {
                memcpy(&value, map.address + row * map.row_bytes + col * 2, 2);
            }

            unsigned place = copy.shared + r * 128 + c * 2;
            memcpy(memory + (place ^ (place >> 7 & 7) << 4), &value, 2);
        }
    }
}

void end_copy(size_t i)
{
    Copy copy = copies[i];
    copies[i] = copies.back();
    copies.pop_back();
    unsigned char *memory = memory_of(copy.rank);
    if (copy.map)
    {
        fill_box(copy, memory);
    }
    else
    {
        memcpy(memory + copy.shared, copy.global, copy.bytes);
    }

    ((MemoryBarrier *)(memory + copy.barrier))->change(0, -(int32_t)copy.bytes);
#ifdef EMULATED_RACES
    races.access(copy.fiber, copy.known, copy.rank, copy.shared, copy.bytes, true);
    join(races.memory_barrier(copy.rank, copy.barrier), copy.known);
#endif
}

int live_in_cluster()
{
    int all = 0;
    for (int rank = 0; rank < ranks; rank++)
    {
        all += live[rank];
    }

    return all;
}

/// All that have not ended have arrived.
void end_cluster_barrier()
{
    if (cluster_barrier.arrived > 0 && cluster_barrier.arrived == live_in_cluster())
    {
        cluster_barrier.arrived = 0;
        cluster_barrier.generation++;
        emulated_progress();
    }
}

[[noreturn]] void deadlock()
{
    fail("nothing moves any more in block (%d, %d, %d): %d of %d threads have not ended", self->thread.block[0], self->thread.block[1], self->thread.block[2], live_in_cluster(), ranks * threads);
}

void resume(Fiber *next)
{
    Fiber *before = self;
    if (next == before)
    {
        return; // its place in its stack is not written down
    }

    self = next;
    emulated_self = &next->thread;
    emulated_switch(&before->stack_pointer, next->stack_pointer);
}

/// The next that can run, in the direction of this round, of one block after the other. Between rounds copies come to their end.
Fiber *next_fiber()
{
    int rank = self->rank, i = (int)(self - fibers);
    do
    {
        i += step;
        if (i < rank * threads || i >= (rank + 1) * threads)
        {
            step = next_random() & 1 ? 1 : -1;
            rank = (rank + 1) % ranks;
            map_rank(rank);
            i = step > 0 ? rank * threads : (rank + 1) * threads - 1;
            if (!copies.empty() && next_random() % 2 == 0)
            {
                end_copy(next_random() % copies.size());
            }
            else if (++idle > MostIdleRounds)
            {
                deadlock();
            }
        }
    } while (!fibers[i].can_run());
    return &fibers[i];
}

void run_thread()
{
    kernel(argument);
    self->done = true;
    emulated_progress();
    live[self->rank]--;
    end_cluster_barrier();
    if (live_in_cluster() == 0)
    {
        void *unused;
        emulated_switch(&unused, host_stack);
    }

    resume(next_fiber());
}

/// Blocks x to x + ranks - 1, which are a cluster or one block.
void run_blocks(int x, int y, int z, const int (&grid)[3], size_t shared_bytes)
{
    memset(barriers, 0, sizeof barriers);
    cluster_barrier = {};
    idle = 0;
    for (int rank = 0; rank < ranks; rank++)
    {
        memset(memory_of(rank), 0xFF, shared_bytes);
        live[rank] = threads;
    }

    for (int i = 0; i < ranks * threads; i++)
    {
        Fiber &fiber = fibers[i];
        fiber = {};
        fiber.rank = i / threads;
        fiber.thread = {i % threads, threads, {x + fiber.rank, y, z}, {grid[0], grid[1], grid[2]}};
        auto *top = (uint64_t *)(stacks + (size_t)(i + 1) * StackBytes);
        *--top = 0;                    // run_thread never returns; keeps the stack aligned as after a call
        *--top = (uint64_t)&run_thread;
        for (int saved = 0; saved < 6; saved++)
        {
            *--top = 0;
        }

        fiber.stack_pointer = top;
    }

    for (int i = 0; i < (ranks * threads + WarpSize - 1) / WarpSize; i++)
    {
        warps[i].arrived = 0;
        warps[i].waits = false;
    }

    map_rank(0);
#ifdef EMULATED_RACES
    races.begin(kernel_name, ranks * threads, ranks, shared_bytes);
    for (Clocks &clocks : of_warp)
    {
        clocks.clear();
    }

    for (auto &of_rank : of_barrier)
    {
        for (Clocks &clocks : of_rank)
        {
            clocks.clear();
        }
    }

    of_cluster.clear();
#endif
    step = next_random() & 1 ? 1 : -1;
    self = step > 0 ? &fibers[0] : &fibers[threads - 1];
    emulated_self = &self->thread;
    emulated_switch(&host_stack, self->stack_pointer);
    if (!copies.empty())
    {
        fail("ended before %zu of its copies", copies.size());
    }
}
}

int emulated_live() { return live[self->rank]; }

void emulated_progress() { idle = 0; }

namespace
{
void wait(const volatile uint8_t *byte, uint8_t value)
{
    if (*byte == value)
    {
        self->waits_for = byte;
        self->value = value;
        resume(next_fiber());
        self->waits_for = nullptr;
    }
}
}

void emulated_cluster_arrive()
{
    TELL(of_cluster);
    self->cluster_generation = cluster_barrier.generation;
    cluster_barrier.arrived++;
    end_cluster_barrier();
}

void emulated_cluster_wait()
{
    wait(&cluster_barrier.generation, self->cluster_generation);
    LEARN(of_cluster);
}

void emulated_warp_meet()
{
    TELL(of_warp[(self - fibers) / WarpSize]);
    uint32_t nothing = 0;
    emulated_exchange(&nothing, 1);
    LEARN(of_warp[(self - fibers) / WarpSize]);
}

void emulated_memory_barrier_init(unsigned barrier, unsigned count) { *(MemoryBarrier *)(shared_memory + barrier) = {0, (int16_t)count, (uint8_t)count, 0}; }

void emulated_memory_barrier_arrive(unsigned barrier, unsigned expected_bytes)
{
    TELL(races.memory_barrier(self->rank, barrier));
    ((MemoryBarrier *)(shared_memory + barrier))->change(1, (int32_t)expected_bytes);
}

void emulated_memory_barrier_wait(unsigned barrier, unsigned parity)
{
    wait(&((MemoryBarrier *)(shared_memory + barrier))->phase, (uint8_t)parity);
    LEARN(races.memory_barrier(self->rank, barrier));
}

unsigned char *emulated_cluster_memory(int rank) { return memory_of(rank); }

int emulated_barrier(int id, int count, bool condition)
{
    Barrier &barrier = barriers[self->rank][id];
    uint8_t generation = barrier.generation;
    TELL(of_barrier[self->rank][id]);
    barrier.conditions += condition;
    if (++barrier.arrived == count)
    {
        barrier.result[generation & 1] = barrier.conditions;
        barrier.arrived = barrier.conditions = 0;
        barrier.generation++;
        emulated_progress();
    }

    wait(&barrier.generation, generation);
    LEARN(of_barrier[self->rank][id]);
    return barrier.result[generation & 1];
}

const uint32_t (*emulated_exchange(const uint32_t *words, int count))[EmulatedWords]
{
    int index = (int)(self - fibers);
    Warp &warp = warps[index / WarpSize];
    uint8_t generation = warp.generation;
    memcpy(warp.words[generation & 1][index % WarpSize], words, count * sizeof(uint32_t));
    if (++warp.arrived == WarpSize)
    {
        warp.arrived = 0;
        warp.generation++;
        emulated_progress();
    }

    wait(&warp.generation, generation);
    return warp.words[generation & 1];
}

void emulated_wait_for_previous()
{
    self->has_waited = warps[(self - fibers) / WarpSize].waits = true;
}

namespace
{
void start(Copy copy)
{
    if (warps[(self - fibers) / WarpSize].waits && !self->has_waited)
    {
        fail("a copy is to start before the kernel in front has ended, but other lanes of its warp wait for that, and with them the warp");
    }

#ifdef EMULATED_RACES
    copy.fiber = (int)(self - fibers);
    copy.known = races.now(copy.fiber);
#endif
    copies.push_back(copy);
}
}

void emulated_copy(unsigned to, const void *global, unsigned bytes, unsigned barrier)
{
    if (bytes % 16 != 0 || to % 16 != 0 || (uintptr_t)global % 16 != 0 || to + bytes > SharedBytes)
    {
        fail("a copy of %u bytes to %u that the copy engine would refuse", bytes, to);
    }

    start({self->rank, to, global, bytes, barrier, nullptr, 0, 0});
}

void emulated_copy_box(unsigned to, const EmulatedMap *map, int col, int row, unsigned barrier)
{
    unsigned bytes = map->box_rows * 128;
    if (map->box_cols != 64 || to % 1024 != 0 || to + bytes > SharedBytes)
    {
        fail("a box of %u rows of %u to %u that the copy engine would refuse or swizzle otherwise", map->box_rows, map->box_cols, to);
    }

    start({self->rank, to, nullptr, bytes, barrier, map, col, row});
}

/// Of the driver: runs a grid. function takes the address of the kernel's parameter.
extern "C" __attribute__((visibility("default"))) void emulated_run(
    const char *name, void (*function)(const void *), const void *parameter, int grid_x, int grid_y, int grid_z, int block_threads, int cluster, size_t shared_bytes)
{
    static std::mutex turn;
    std::lock_guard<std::mutex> lock(turn);
    kernel_name = name;
    if (block_threads < 1 || block_threads > MaxThreads || block_threads % WarpSize != 0 || cluster < 1 || cluster > MaxRanks || grid_x % cluster != 0 || shared_bytes > SharedBytes)
    {
        fail("%d threads, clusters of %d, %zu bytes of shared memory", block_threads, cluster, shared_bytes);
    }

    if (!stacks)
    {
        stacks = (unsigned char *)mmap(nullptr, MaxFibers * StackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }

    kernel = function;
    argument = parameter;
    threads = block_threads;
    ranks = cluster;
    make_memories();
    int grid[3] = {grid_x, grid_y, grid_z};
    for (int z = 0; z < grid_z; z++)
    {
        for (int y = 0; y < grid_y; y++)
        {
            for (int x = 0; x < grid_x; x += ranks)
            {
                run_blocks(x, y, z, grid, shared_bytes);
            }
        }
    }
}

#ifdef EMULATED_RACES
namespace
{
void accessed(const void *address, size_t bytes, bool write)
{
    size_t offset = (size_t)((const unsigned char *)address - shared_memory);
    if (offset < SharedBytes)
    {
        int fiber = (int)(self - fibers);
        races.access(fiber, races.now(fiber), self->rank, offset, bytes, write);
    }
}
}

// What ThreadSanitizer's instrumentation calls.
#define SIZES(X) X(1) X(2) X(4) X(8) X(16)
#define ACCESS(size) \
    extern "C" void __tsan_read##size(void *p) { accessed(p, size, false); } \
    extern "C" void __tsan_write##size(void *p) { accessed(p, size, true); } \
    extern "C" void __tsan_unaligned_read##size(void *p) { accessed(p, size, false); } \
    extern "C" void __tsan_unaligned_write##size(void *p) { accessed(p, size, true); } \
    extern "C" void __tsan_read_write##size(void *p) { accessed(p, size, true); } \
    extern "C" void __tsan_unaligned_read_write##size(void *p) { accessed(p, size, true); }
SIZES(ACCESS)

extern "C"
{
void __tsan_init() {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void *__tsan_memcpy(void *to, const void *from, size_t bytes)
{
    accessed(from, bytes, false);
    accessed(to, bytes, true);
    return memcpy(to, from, bytes);
}
void *__tsan_memset(void *to, int value, size_t bytes)
{
    accessed(to, bytes, true);
    return memset(to, value, bytes);
}
void *__tsan_memmove(void *to, const void *from, size_t bytes)
{
    accessed(from, bytes, false);
    accessed(to, bytes, true);
    return memmove(to, from, bytes);
}
uint32_t __tsan_atomic32_fetch_add(volatile uint32_t *p, uint32_t value, int) { return __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST); }
uint64_t __tsan_atomic64_load(const volatile uint64_t *p, int) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
int __tsan_atomic64_compare_exchange_strong(volatile uint64_t *p, uint64_t *seen, uint64_t value, int, int) { return __atomic_compare_exchange_n(p, seen, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); }
uint64_t __tsan_atomic64_compare_exchange_val(volatile uint64_t *p, uint64_t seen, uint64_t value, int, int)
{
    __atomic_compare_exchange_n(p, &seen, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return seen;
}
}
#endif
