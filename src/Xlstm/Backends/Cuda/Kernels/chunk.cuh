// The scalars of a chunk of the cell. With B the running sum of log sigmoid(f) and lead_s = i_s - B_s:
// log D[t, s] = B_t + lead_s and m_t = B_t + max(m_prev, max_{s <= t} lead_s).
#pragma once
#include "device.cuh"

constexpr int Chunk = 64;

/// What a chunk's gates say whatever came before it.
struct alignas(16) ChunkScalars
{
    float lead[Chunk]; // far below everything past the chunk's end
    float top[Chunk];  // max_{s <= t} lead_s
    float b[Chunk];    // B_t
};

__device__ double shuffle_up(double value, int delta)
{
    ulong bits = __builtin_bit_cast(ulong, value);
    uint low = shuffle_up((int)(uint)bits, delta);
    uint high = shuffle_up((int)(uint)(bits >> 32), delta);
    return __builtin_bit_cast(double, (ulong)high << 32 | low);
}

/// Two neighbouring tokens of a lane: sums in double, see cell_scalars.
struct ChunkLane
{
    double b[2];
    double lead[2];
    double top[2];

    /// By one warp. gates: i of the chunk's first token; f lies heads further on.
    __device__ void scan(const float* gates, int stride, int heads, int count, float cap)
    {
        int lane = lane_index();
        double log_f[2];
        float i[2];
        for (int u = 0; u < 2; u++)
        {
            int t = 2 * lane + u;
            bool valid = t < count;
            log_f[u] = valid ? (double)log_sigmoid(soft_cap(gates[(long)t * stride + heads], cap)) : 0.0;
            i[u] = valid ? soft_cap(gates[(long)t * stride], cap) : -1e30f;
        }

        b[1] = log_f[0] + log_f[1];
        for (int delta = 1; delta < WarpSize; delta *= 2)
        {
            double other = shuffle_up(b[1], delta);
            b[1] += lane >= delta ? other : 0.0;
        }

        b[0] = b[1] - log_f[1];
        lead[0] = i[0] - b[0];
        lead[1] = i[1] - b[1];
        double running = lead[0] > lead[1] ? lead[0] : lead[1];
        for (int delta = 1; delta < WarpSize; delta *= 2)
        {
            double other = shuffle_up(running, delta);
            running = lane >= delta && other > running ? other : running;
        }

        double before = shuffle_up(running, 1);
        top[0] = lane == 0 || before < lead[0] ? lead[0] : before;
        top[1] = top[0] < lead[1] ? lead[1] : top[0];
    }
};

/// By one warp: see ChunkLane.
__device__ void own_scalars(const float* gates, int stride, int heads, int count, float cap, ChunkScalars& s)
{
    ChunkLane own;
    own.scan(gates, stride, heads, count, cap);
#pragma unroll
    for (int u = 0; u < 2; u++)
    {
        int t = 2 * lane_index() + u;
        s.lead[t] = (float)own.lead[u];
        s.top[t] = (float)own.top[u];
        s.b[t] = (float)own.b[u];
    }
}
