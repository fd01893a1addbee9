#include "races.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>

void join(Clocks &a, const Clocks &b)
{
    if (a.size() < b.size())
    {
        a.resize(b.size());
    }

    for (size_t i = 0; i < b.size(); i++)
    {
        a[i] = std::max(a[i], b[i]);
    }
}

void Races::begin(const char *kernel, int fibers, int ranks, size_t shared_bytes)
{
    kernel_ = kernel;
    clocks_.assign(fibers, Clocks(fibers));
    for (int i = 0; i < fibers; i++)
    {
        clocks_[i][i] = 1;
    }

    cells_.resize(ranks);
    for (auto &cells : cells_)
    {
        cells.assign((shared_bytes + 1) / 2, {0, 0, 0, 0, -1});
    }

    shared_.clear();
    barriers_.clear();
}

void Races::release(int fiber, Clocks &place)
{
    join(place, clocks_[fiber]);
    clocks_[fiber][fiber]++;
}

void Races::acquire(int fiber, const Clocks &place) { join(clocks_[fiber], place); }

void Races::access(int fiber, const Clocks &known, int rank, size_t offset, size_t bytes, bool write)
{
    auto &cells = cells_[rank];
    for (size_t i = offset / 2; i < (offset + bytes + 1) / 2 && i < cells.size(); i++)
    {
        Cell &cell = cells[i];
        if (cell.writer && (int)cell.writer - 1 != fiber && known[cell.writer - 1] < cell.written)
        {
            report(write ? "two writes" : "a read after a write", rank, i * 2, cell.writer - 1, fiber);
        }

        if (!write)
        {
            if (cell.readers >= 0)
            {
                shared_[cell.readers][fiber] = known[fiber];
            }
            else if (!cell.reader || (int)cell.reader - 1 == fiber || known[cell.reader - 1] >= cell.read)
            {
                cell.reader = fiber + 1;
                cell.read = known[fiber];
            }
            else
            {
                cell.readers = (int)shared_.size();
                shared_.emplace_back(known.size());
                shared_.back()[cell.reader - 1] = cell.read;
                shared_.back()[fiber] = known[fiber];
            }

            continue;
        }

        if (cell.readers >= 0)
        {
            const Clocks &readers = shared_[cell.readers];
            for (size_t other = 0; other < readers.size(); other++)
            {
                if ((int)other != fiber && known[other] < readers[other])
                {
                    report("a write after a read", rank, i * 2, (int)other, fiber);
                }
            }
        }
        else if (cell.reader && (int)cell.reader - 1 != fiber && known[cell.reader - 1] < cell.read)
        {
            report("a write after a read", rank, i * 2, cell.reader - 1, fiber);
        }

        cell = {(uint32_t)fiber + 1, known[fiber], 0, 0, -1};
    }
}

void Races::report(const char *kind, int rank, size_t offset, int before, int now) const
{
    fprintf(stderr, "emulated GPU: %s: %s without a barrier between: byte %zu of shared memory%s, threads %d and %d\n", kernel_, kind, offset, rank ? " of a later block of the cluster" : "", before, now);
    abort();
}
