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

/// A barrier among some of a block's threads; 0 is __syncthreads' own.
template <int Id, int Count>
__device__ void barrier_of_some() { asm volatile("bar.sync %0, %1;" ::"n"(Id), "n"(Count) : "memory"); }
