/* One range of addresses for each device, and the bytes there. Nobody can touch them but while the
 * device runs: a host program that follows a pointer to device memory ends with SIGSEGV. Addresses
 * are given out again as late as possible, so that what was freed is recognised. */
#include "tests/vendor/machine.h"

#include <cstdlib>
#include <cstring>

#include <sys/mman.h>

namespace vendor {
static const size_t RANGE = (size_t)256 << 30, PAGE = 4096;
enum { POISON = 0xff };

unsigned char *reserve_range()
{
    void *p = mmap(NULL, RANGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        abort();
    madvise(p, RANGE, MADV_DONTDUMP);
    madvise(p, RANGE, MADV_HUGEPAGE); /* a hundred times cheaper to open and close */
    return (unsigned char *)p;
}

/* The first gap of so many bytes at or after `from`. */
static uintptr_t gap(const device &d, uintptr_t from, size_t bytes, size_t align)
{
    const uintptr_t base = (uintptr_t)d.base;
    uintptr_t at = (from + align - 1) / align * align;
    auto next = d.spans.lower_bound(at);
    if (next != d.spans.begin()) {
        auto before = std::prev(next);
        if (before->first + before->second > at)
            at = (before->first + before->second + align - 1) / align * align;
    }
    for (; next != d.spans.end() && at + bytes > next->first; ++next)
        at = (next->first + next->second + align - 1) / align * align;
    return at + bytes <= base + RANGE ? at : 0;
}

uintptr_t place(device &d, size_t bytes, size_t align)
{
    const uintptr_t base = (uintptr_t)d.base;
    bytes = (bytes + PAGE - 1) / PAGE * PAGE;
    if (bytes > RANGE || align > RANGE)
        return 0;
    uintptr_t at = gap(d, d.next > base ? d.next : base, bytes, align);
    if (!at)
        at = gap(d, base, bytes, align);
    if (at) {
        d.spans[at] = bytes;
        d.next = at + bytes;
        if (d.next - base > d.opened)
            d.opened = d.next - base;
    }
    return at;
}

void take_back(uintptr_t at, size_t bytes)
{
    madvise((void *)at, bytes, MADV_DONTNEED);
}

void give_up(device &d, uintptr_t at)
{
    take_back(at, d.spans[at]);
    d.spans.erase(at);
}

void poison(held &h, device &d, uintptr_t at, size_t bytes)
{
    opening o(h, d);
    memset((void *)at, POISON, bytes);
}

void open_memory(device &d, bool open)
{
    if (d.opened && mprotect(d.base, d.opened, open ? PROT_READ | PROT_WRITE : PROT_NONE))
        abort();
}

bool is_device(const void *p)
{
    for (const auto &d : the().devices)
        if ((uintptr_t)p - (uintptr_t)d->base < RANGE)
            return true;
    return false;
}

bool live(const device &d, const void *p, size_t bytes)
{
    return d.live.hold(p, bytes);
}
} // namespace vendor
