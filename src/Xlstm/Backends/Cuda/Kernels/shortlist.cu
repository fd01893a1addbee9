// The highest logits of a sequence, so that a few of them and not the whole vocabulary go to the host, whose sampler chooses.
#include "device.cuh"

constexpr int Threads = 1024;
constexpr int Capacity = 1024;

/// Logits of a thread under way at once.
constexpr int Batch = 16;

struct Shortlist
{
    int count; // -1 if there is no saying which are the best: a logit is not a number, or too many tie
    int ids[Capacity];
    float logits[Capacity];
};

struct ShortlistItem
{
    const uint* forbidden; // bit id % 32 of word id / 32
    float* kept;           // [V]: where all logits stay
    Shortlist* best;       // in the host's memory
    int row;               // of the logits
    int wanted;            // at least 1; 0: nothing to do
};

struct ShortlistArgs
{
    const float* logits;        // [*, V]
    const ShortlistItem* items; // [grid x]
    int vocab_size;
};

/// Unsigned integers in the order of the floats, above 0; both zeros are one.
__device__ uint order_of(float value)
{
    uint bits = float_to_bits(value + 0.0f);
    return bits ^ ((bits >> 31) ? 0xFFFFFFFFu : 0x80000000u);
}

/// Grid (items). Every thread finds the highest of its share. The wanted-th highest of those is a bound that at least so many
/// tokens reach; few others do, and all that do are handed out.
extern "C" __global__ void LAUNCH_BOUNDS(Threads, 1) shortlist(const ShortlistArgs a)
{
    __shared__ int ids[Capacity];
    __shared__ float logits[Capacity];
    __shared__ int found;
    let_next_start();
    ShortlistItem item = a.items[block_x()];
    int thread = thread_index();
    wait_for_previous();
    if (item.wanted == 0)
    {
        return;
    }

    const float* row = a.logits + (long)item.row * a.vocab_size;
    const uint lowest = order_of(-__builtin_inff()); // never chosen
    uint highest = 0;
    bool sound = true;
    for (int first = thread; first < a.vocab_size; first += Batch * Threads)
    {
        float batch[Batch];
        uint forbidden[Batch];
#pragma unroll
        for (int i = 0; i < Batch; i++)
        {
            int id = first + i * Threads;
            batch[i] = id < a.vocab_size ? row[id] : 0.0f;
            forbidden[i] = id < a.vocab_size ? item.forbidden[id / 32] >> (id % 32) & 1 : 1;
        }

#pragma unroll
        for (int i = 0; i < Batch; i++)
        {
            int id = first + i * Threads;
            if (id < a.vocab_size)
            {
                item.kept[id] = batch[i];
            }

            sound &= batch[i] <= 3.4028234663852886e38f; // not NaN, not infinity
            uint order = forbidden[i] ? 0 : order_of(batch[i]);
            highest = order > highest ? order : highest;
        }
    }

    uint bound = 0;
    for (uint bit = 0x80000000u; bit != 0; bit >>= 1)
    {
        bound |= count_threads(highest >= (bound | bit)) >= item.wanted ? bit : 0;
    }

    bound = bound > lowest ? bound : lowest + 1;
    if (thread == 0)
    {
        found = 0;
    }

    sound = count_threads(!sound) == 0;
    if (highest >= bound)
    {
        for (int first = thread; first < a.vocab_size; first += Batch * Threads)
        {
            float batch[Batch];
#pragma unroll
            for (int i = 0; i < Batch; i++)
            {
                int id = first + i * Threads;
                batch[i] = id < a.vocab_size ? row[id] : -__builtin_inff();
            }

#pragma unroll
            for (int i = 0; i < Batch; i++)
            {
                int id = first + i * Threads;
                if (order_of(batch[i]) >= bound && !(item.forbidden[id / 32] >> (id % 32) & 1))
                {
                    int place = atomic_add(&found, 1);
                    if (place < Capacity)
                    {
                        ids[place] = id;
                        logits[place] = batch[i];
                    }
                }
            }
        }
    }

    __syncthreads();
    int count = sound && found <= Capacity ? found : -1;
    if (thread < count)
    {
        item.best->ids[thread] = ids[thread];
        item.best->logits[thread] = logits[thread];
    }

    if (thread == 0)
    {
        item.best->count = count;
    }
}
