// Hopper's asynchronous copies and the barriers they report to (compute capability 9.0, PTX ISA 8.0).
#pragma once
#include "device.cuh"

__device__ void barrier_init(uint barrier, uint count) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory"); }

/// Makes initialized barriers known to the copy engine.
__device__ void barrier_init_done() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

__device__ void barrier_arrive(uint barrier) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory"); }

/// Arrives, and holds the phase open until so many bytes have come.
__device__ void barrier_expect(uint barrier, uint bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

__device__ void barrier_wait(uint barrier, uint parity)
{
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@!done bra again;\n"
        "}\n" ::"r"(barrier), "r"(parity) : "memory");
}

/// Copies bytes (a multiple of 16, both ends aligned to 16) and reports them to the barrier.
__device__ void copy_bulk(uint shared, const void* global, uint bytes, uint barrier)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(shared), "l"(global), "r"(bytes), "r"(barrier) : "memory");
}

/// Has the L2 fetch bytes (a multiple of 16, aligned to 16).
__device__ void prefetch_bulk(const void* global, uint bytes) { asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(global), "r"(bytes)); }

/// Copies a box of the matrix that a map describes, from column col of row row on, and reports it to the barrier.
__device__ void copy_tile(uint shared, const void* map, int col, int row, uint barrier)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(shared), "l"(map), "r"(col), "r"(row), "r"(barrier) : "memory");
}

/// A policy for the L2: what is read or written once should not push anything else out.
constexpr ulong EvictFirst = 0x12F0000000000000;

/// copy_tile of what is read once.
__device__ void copy_tile_once(uint shared, const void* map, int col, int row, uint barrier)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(shared), "l"(map), "r"(col), "r"(row), "r"(barrier), "l"(EvictFirst) : "memory");
}

/// copy_bulk of what is read once.
__device__ void copy_bulk_once(uint shared, const void* global, uint bytes, uint barrier)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(shared), "l"(global), "r"(bytes), "r"(barrier), "l"(EvictFirst) : "memory");
}

/// Copies bytes (a multiple of 16, both ends aligned to 16), not to be read again soon, from shared memory. All threads that
/// wrote there have said copies_see_writes before a barrier.
__device__ void copy_bulk_out(void* global, uint shared, uint bytes)
{
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group.L2::cache_hint [%0], [%1], %2, %3;" ::"l"(global), "r"(shared), "r"(bytes), "l"(EvictFirst) : "memory");
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

/// Waits until this thread's copies out of shared memory have read it.
__device__ void copies_out_have_read() { asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory"); }

/// Orders this thread's writes to shared memory before copies that are started after the next barrier.
__device__ void copies_see_writes() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/// A barrier among some of a block's threads; 0 is __syncthreads' own.
template <int Id, int Count>
__device__ void barrier_of_some() { asm volatile("bar.sync %0, %1;" ::"n"(Id), "n"(Count) : "memory"); }

/// The same with a count that is not known before.
__device__ void barrier_of_first(int id, int count) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(count) : "memory"); }
