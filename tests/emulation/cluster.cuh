// Stands in for the kernels' header of the same name where they are emulated; see there for what each of these does.
#pragma once
#include "device.cuh"

__device__ void cluster_arrive() { emulated_cluster_arrive(); }
__device__ void cluster_wait() { emulated_cluster_wait(); }
__device__ uint cluster_address(uint shared, int rank) { return (uint)rank << 24 | shared; }
__device__ float4 load_cluster(uint address) { return *(const float4 *)(emulated_cluster_memory((int)(address >> 24)) + (address & 0xFFFFFF)); }
__device__ void store_shared(uint shared, const float4 &v) { *(float4 *)(emulated_shared + shared) = v; }
