// Stands in for the kernels' header of the same name where they are emulated; see there for what each of these does.
#pragma once
#include "device.cuh"

__device__ void barrier_init(uint barrier, uint count) { emulated_memory_barrier_init(barrier, count); }
__device__ void barrier_init_done() {}
__device__ void barrier_expect(uint barrier, uint bytes) { emulated_memory_barrier_arrive(barrier, bytes); }
__device__ void barrier_arrive(uint barrier) { emulated_memory_barrier_arrive(barrier, 0); }
__device__ void barrier_wait(uint barrier, uint parity) { emulated_memory_barrier_wait(barrier, parity); }

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
