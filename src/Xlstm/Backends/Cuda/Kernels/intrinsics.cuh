// What the kernels use of the hardware, for plain clang without NVIDIA's headers: nothing here is made of anything else. With async.cuh,
// cluster.cuh and wgmma.cuh, for compute capability 9.0, it is all that an emulation has to bring.
#pragma once

#define __global__ __attribute__((global))
#define __device__ __attribute__((device)) inline __attribute__((always_inline))
#define __shared__ __attribute__((shared))
#define LAUNCH_BOUNDS(threads, blocks) __attribute__((launch_bounds(threads, blocks)))

typedef unsigned char byte;
typedef unsigned short bf16; // the upper half of a float32
typedef unsigned int uint;
typedef unsigned long long ulong;

struct alignas(16) uint4 { uint x, y, z, w; };
struct alignas(8) uint2 { uint x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) float2 { float x, y; };

constexpr int WarpSize = 32;

__device__ int thread_index() { return __nvvm_read_ptx_sreg_tid_x(); }
__device__ int thread_count() { return __nvvm_read_ptx_sreg_ntid_x(); }
__device__ int block_x() { return __nvvm_read_ptx_sreg_ctaid_x(); }
__device__ int block_y() { return __nvvm_read_ptx_sreg_ctaid_y(); }
__device__ int block_z() { return __nvvm_read_ptx_sreg_ctaid_z(); }
__device__ int grid_x() { return __nvvm_read_ptx_sreg_nctaid_x(); }
__device__ int grid_y() { return __nvvm_read_ptx_sreg_nctaid_y(); }
__device__ int lane_index() { return thread_index() & (WarpSize - 1); }
__device__ int warp_index() { return thread_index() / WarpSize; }

// Programmatic dependent launch (compute capability 9.0): a kernel may start, and fetch weights, while the one before it in
// the stream is still running; what that one wrote may be touched only after wait_for_previous(). That holds up the whole warp: a lane
// that is to do something before must have done it, or the others must not wait.
__device__ void wait_for_previous()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ void let_next_start()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/// All threads of a warp wait for each other.
__device__ void warp_meet() { __nvvm_bar_warp_sync(0xFFFFFFFFu); }

/// In how many of the block's threads a condition holds, in every thread; a barrier.
__device__ int count_threads(bool condition)
{
    int count;
    asm volatile("{\n.reg .pred p;\nsetp.ne.u32 p, %1, 0;\nbar.red.popc.u32 %0, 0, p;\n}\n" : "=r"(count) : "r"((uint)condition) : "memory");
    return count;
}

__device__ float bits_to_float(uint bits) { return __builtin_bit_cast(float, bits); }
__device__ uint float_to_bits(float value) { return __builtin_bit_cast(uint, value); }
__device__ float sqrt_of(float a) { return __nvvm_sqrt_rn_f(a); }

/// 2^x, within 2 ulp.
__device__ float power_of_two(float x) { return __nvvm_ex2_approx_f(x); }

/// The same with denormals as 0.
__device__ float flushed_power_of_two(float x) { return __nvvm_ex2_approx_ftz_f(x); }

/// Within 2e-7, without the many instructions of exact division.
__device__ float fast_reciprocal(float a) { return __nvvm_rcp_approx_ftz_f(a); }

/// 1 / sqrt(a), within 2e-7.
__device__ float fast_inverse_root(float a) { return __nvvm_rsqrt_approx_ftz_f(a); }

__device__ float half_to_float(bf16 half)
{
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
}

/// Rounds to nearest even.
__device__ bf16 round_to_bf16(float value)
{
    bf16 result;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result) : "f"(value));
    return result;
}

/// low in the lower half.
__device__ uint pack_bf16(float low, float high)
{
    uint result;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
    return result;
}

__device__ float shuffle_xor(float value, int mask) { return __nvvm_shfl_sync_bfly_f32(0xFFFFFFFFu, value, mask, 0x1F); }
__device__ int shuffle_xor(int value, int mask) { return __nvvm_shfl_sync_bfly_i32(0xFFFFFFFFu, value, mask, 0x1F); }

/// The value that another lane of the warp has.
__device__ float shuffle_from(float value, int lane) { return __nvvm_shfl_sync_idx_f32(0xFFFFFFFFu, value, lane, 0x1F); }

/// The value of the lane that is so many before this one; its own where there is none.
__device__ int shuffle_up(int value, int delta) { return __nvvm_shfl_sync_up_i32(0xFFFFFFFFu, value, delta, 0); }

/// sum + the dot product of four signed bytes with four signed ones.
__device__ int dot_signed(uint a, uint b, int sum)
{
    asm("dp4a.s32.s32 %0, %1, %2, %0;" : "+r"(sum) : "r"(a), "r"(b));
    return sum;
}

/// Four of the bytes of low, 0 to 3, and high, 4 to 7: a nibble of the selector each.
__device__ uint pick_bytes(uint low, uint high, uint selector)
{
    uint result;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(result) : "r"(low), "r"(high), "r"(selector));
    return result;
}

__device__ void atomic_min(ulong* place, ulong value) { __nvvm_atom_min_gen_ull(place, value); }

/// Returns what was there before.
__device__ int atomic_add(int* place, int value) { return __nvvm_atom_add_gen_i(place, value); }

__device__ void fence_device() { asm volatile("fence.acq_rel.gpu;" ::: "memory"); }

__device__ uint arrive_in_memory(uint* counter)
{
    uint before;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;" : "=r"(before) : "l"(counter) : "memory");
    return before;
}

/// Past the L1, which knows nothing of other multiprocessors' writes.
__device__ float4 load_of_others(const float* p)
{
    float4 v;
    asm volatile("ld.global.cg.v4.f32 {%0, %1, %2, %3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "l"(p) : "memory");
    return v;
}

/// 16 bytes that are read once: they should not push anything out of the L1.
__device__ uint4 load_streaming(const void* p)
{
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
    return v;
}

/// 16 bytes that are read and written.
__device__ uint4 load_global(const void* p)
{
    uint4 v;
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p) : "memory");
    return v;
}

__device__ void store_global(void* p, const uint4& v)
{
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}

__device__ uint shared_address(const void* p) { return (uint)(ulong)(__attribute__((address_space(3))) const void*)p; }

__device__ void copy_async_16(void* shared, const void* global, bool valid)
{
    // With a source size of 0 the 16 bytes become zero.
    int bytes = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(bytes) : "memory");
}

__device__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int Pending>
__device__ void copy_async_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory"); }

/// d += a b; a [16, 16] row-major, b [16, 8], fragments as PTX's mma.m16n8k16 has them.
__device__ void mma_bf16(float (&d)[4], const uint (&a)[4], uint b0, uint b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ void mma_tf32(float (&d)[4], const uint (&a)[4], const uint (&b)[2])
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ uint to_tf32(float value)
{
    uint result;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(result) : "f"(value));
    return result;
}

/// d = c + a b, c the same everywhere; a [16, 32] and b [32, 8] signed bytes, fragments as PTX's mma.m16n8k32 has them.
__device__ void mma_bytes(int (&d)[4], const uint (&a)[4], uint2 b, int c)
{
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %10, %10, %10};"
        : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y), "r"(c));
}

__device__ void load_matrices(uint (&r)[4], uint shared)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared) : "memory");
}

__device__ void load_matrices_transposed(uint (&r)[4], uint shared)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared) : "memory");
}
