/* cudaMalloc, pinned host memory, and how much there is. */
#include "tests/vendor/machine.h"

#include <cstdlib>
#include <cstring>

namespace vendor {
/* Aligned as CUDA promises and no better: allocations begin at odd multiples of 256. What lies
 * around them belongs to nobody. */
enum { ALIGNED = 256, PAGE = 4096, POISON = 0xff };

static size_t counted(size_t bytes)
{
    return (bytes + ALIGNED - 1) / ALIGNED * ALIGNED;
}

static int take(held &h, device &d, void **out, size_t bytes)
{
    wait_until_stopped(h, d);
    if (counted(bytes) > d.capacity - d.used)
        return cudaErrorMemoryAllocation;
    const uintptr_t span = place(d, bytes + 2 * ALIGNED, PAGE);
    if (!span)
        return cudaErrorMemoryAllocation;
    *out = (void *)(span + ALIGNED);
    poison(h, d, span + ALIGNED, bytes);
    d.live.add(*out, bytes);
    d.used += counted(bytes);
    return 0;
}

/* cudaFree waits for the device. */
static int give(held &h, device &d, void *p)
{
    size_t bytes;
    const int broken = run_device(h, d);
    wait_until_stopped(h, d);
    const uintptr_t span = (uintptr_t)p - ALIGNED;
    if (!d.spans.count(span) || !d.live.remove(p, &bytes)) {
        vendor_report("cudaFree: %p was not allocated on device %d", p, d.index);
        return cudaErrorInvalidValue;
    }
    give_up(d, span);
    d.used -= counted(bytes);
    return broken;
}
} // namespace vendor

using namespace vendor;

size_t vendor_taken(void)
{
    held h(the().lock);
    size_t bytes = 0;
    for (const auto &d : the().devices)
        bytes += d->used;
    return bytes;
}

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    return call("cudaMalloc", UNSAFE, [=](held &h) -> int {
        *out = NULL;
        if (bytes > SIZE_MAX / 2)
            return cudaErrorMemoryAllocation;
        return bytes ? take(h, chosen(), out, bytes) : 0;
    });
}

cudaError_t cudaFree(void *p)
{
    return call("cudaFree", UNSAFE, [=](held &h) { return p ? give(h, chosen(), p) : 0; });
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
    return call("cudaMemGetInfo", SAFE, [=](held &) {
        const device &d = chosen();
        *free_bytes = d.capacity - d.used;
        *total = d.capacity;
        return cudaSuccess;
    });
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned flags)
{
    return call("cudaHostAlloc", UNSAFE, [=](held &) {
        *out = NULL;
        if (flags &
            ~(unsigned)(cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined))
            return cudaErrorInvalidValue;
        if (bytes == 0)
            return cudaSuccess;
        *out = bytes < SIZE_MAX / 2 ? aligned_alloc(PAGE, (bytes + PAGE - 1) / PAGE * PAGE) : NULL;
        if (!*out)
            return cudaErrorMemoryAllocation;
        memset(*out, POISON, bytes);
        the().pinned.add(*out, bytes);
        return cudaSuccess;
    });
}

/* Waits for the thread's device, as cudaFree does. */
cudaError_t cudaFreeHost(void *p)
{
    return call("cudaFreeHost", UNSAFE, [=](held &h) -> int {
        size_t bytes;
        if (!p)
            return 0;
        const int broken = run_device(h, chosen());
        if (!the().pinned.remove(p, &bytes)) {
            vendor_report("cudaFreeHost: %p is no pinned memory", p);
            return cudaErrorInvalidValue;
        }
        free(p);
        return broken;
    });
}
