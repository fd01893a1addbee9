// Finds accesses to dynamic shared memory by two threads, one a write, of which neither comes before the other by a barrier: vector clocks, as FastTrack
// has them (Flanagan and Freund, 2009). Kernels are compiled with clang's instrumentation of ThreadSanitizer, whose calls come here.
#pragma once
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

using Clocks = std::vector<uint32_t>; // what is known of each fiber

/// a knows what b knows, too.
void join(Clocks &a, const Clocks &b);

class Races
{
public:
    /// A block of threads or a cluster begins.
    void begin(const char *kernel, int fibers, int ranks, size_t shared_bytes);

    /// A fiber makes what it has done known in a place, and learns what is known there.
    void release(int fiber, Clocks &place);
    void acquire(int fiber, const Clocks &place);
    Clocks &memory_barrier(int rank, unsigned barrier) { return barriers_[(uint64_t)rank << 32 | barrier]; }
    const Clocks &now(int fiber) const { return clocks_[fiber]; }

    /// An access by a fiber that knows so much: its own, or a copy that it has started.
    void access(int fiber, const Clocks &known, int rank, size_t offset, size_t bytes, bool write);

private:
    struct Cell // of two bytes
    {
        uint32_t writer, written, reader, read; // fibers from 1; when, by their clocks
        int readers;                            // in shared_, -1: none but reader
    };

    void report(const char *kind, int rank, size_t offset, int before, int now) const;

    const char *kernel_ = "";
    std::vector<Clocks> clocks_;
    std::vector<std::vector<Cell>> cells_; // [ranks][bytes / 2]
    std::vector<Clocks> shared_;
    std::unordered_map<uint64_t, Clocks> barriers_;
};
