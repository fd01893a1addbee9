// Stands in for the kernels' header of the same name where they are emulated; see there for what each of these does.
#pragma once
#include "device.cuh"

/// A barrier's 8 bytes of shared memory, as emulator.cpp has them.
struct EmulatedBarrier
{
    int32_t bytes;
    int16_t pending;
    uint8_t count, phase;
};

__device__ EmulatedBarrier *emulated_memory_barrier(uint barrier) { return (EmulatedBarrier *)(emulated_shared + barrier); }

__device__ void barrier_init(uint barrier, uint count) { *emulated_memory_barrier(barrier) = {0, (int16_t)count, (uint8_t)count, 0}; }
__device__ void barrier_init_done() {}

__device__ void barrier_expect(uint barrier, uint bytes)
{
    EmulatedBarrier *b = emulated_memory_barrier(barrier);
    b->bytes += (int)bytes;
    if (--b->pending == 0 && b->bytes == 0)
    {
        b->phase ^= 1;
        b->pending = b->count;
    }

    emulated_progress();
}

__device__ void barrier_arrive(uint barrier) { barrier_expect(barrier, 0); }

__device__ void barrier_wait(uint barrier, uint parity) { emulated_wait(&emulated_memory_barrier(barrier)->phase, (uint8_t)parity); }

__device__ void copy_bulk(uint shared, const void *global, uint bytes, uint barrier) { emulated_copy(shared, global, bytes, barrier); }
__device__ void copy_bulk_once(uint shared, const void *global, uint bytes, uint barrier) { emulated_copy(shared, global, bytes, barrier); }
__device__ void copy_tile(uint shared, const void *map, int col, int row, uint barrier) { emulated_copy_box(shared, (const EmulatedMap *)map, col, row, barrier); }
__device__ void copy_tile_once(uint shared, const void *map, int col, int row, uint barrier) { copy_tile(shared, map, col, row, barrier); }
__device__ void prefetch_bulk(const void *, uint) {}
__device__ void copy_bulk_out(void *global, uint shared, uint bytes) { memcpy(global, emulated_shared + shared, bytes); }
__device__ void copies_out_have_read() {}
__device__ void copies_see_writes() {}

template <int Id, int Count>
__device__ void barrier_of_some() { emulated_barrier(Id, Count); }

__device__ void barrier_of_first(int id, int count) { emulated_barrier(id, count); }
