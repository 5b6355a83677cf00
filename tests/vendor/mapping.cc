/* Virtual memory: addresses first, memory behind them later. What lies behind an address is new
 * (NaN) each time it is mapped; a GPU would show what the handle held before. */
#include "tests/vendor/machine.h"

#include <cstring>

namespace vendor {
static const size_t GRANULE = 2 << 20;

static bool whole(size_t bytes)
{
    return bytes > 0 && bytes % GRANULE == 0;
}

/* NULL: no such device, or not its memory. */
static device *device_of(const CUmemLocation &l)
{
    const bool there =
        l.type == CU_MEM_LOCATION_TYPE_DEVICE && l.id >= 0 && (size_t)l.id < the().devices.size();
    return there ? the().devices[(size_t)l.id].get() : NULL;
}

/* The device in whose range an address is reserved, with all of the bytes. */
static device *reserved(uintptr_t at, size_t bytes)
{
    for (const auto &d : the().devices) {
        auto r = d->reservations.upper_bound(at);
        if (r != d->reservations.begin() && (--r, at + bytes <= r->first + r->second))
            return d.get();
    }
    return NULL;
}

/* The mappings that make up exactly this range; none: it is not made up of any. */
static std::vector<std::map<uintptr_t, mapping>::iterator> mapped(device &d, uintptr_t at,
                                                                  size_t bytes)
{
    std::vector<std::map<uintptr_t, mapping>::iterator> all;
    uintptr_t end = at;
    for (auto m = d.mappings.find(at); m != d.mappings.end() && m->first == end && end < at + bytes;
         ++m) {
        all.push_back(m);
        end += m->second.bytes;
    }
    if (end != at + bytes)
        all.clear();
    return all;
}

static void let_go(device &d, CUmemGenericAllocationHandle handle)
{
    const physical &p = d.physicals[handle];
    if (p.mapped || !p.released)
        return;
    d.used -= p.bytes;
    d.physicals.erase(handle);
}

static CUresult granularity(size_t *out, const CUmemAllocationProp *prop,
                            CUmemAllocationGranularity_flags)
{
    return (CUresult)enter("cuMemGetAllocationGranularity", SAFE, [=](held &) {
        *out = GRANULE;
        return prop->type == CU_MEM_ALLOCATION_TYPE_PINNED && device_of(prop->location)
                   ? CUDA_SUCCESS
                   : CUDA_ERROR_INVALID_VALUE;
    });
}

static CUresult address_reserve(CUdeviceptr *out, size_t bytes, size_t align, CUdeviceptr,
                                unsigned long long flags)
{
    return (CUresult)enter("cuMemAddressReserve", UNSAFE, [=](held &h) {
        if (!whole(bytes) || (align & (align - 1)) || flags)
            return CUDA_ERROR_INVALID_VALUE;
        device &d = chosen();
        wait_until_stopped(h, d);
        const uintptr_t at = place(d, bytes + GRANULE, align > GRANULE ? align : GRANULE);
        if (!at)
            return CUDA_ERROR_OUT_OF_MEMORY;
        d.reservations[at] = bytes;
        *out = at;
        return CUDA_SUCCESS;
    });
}

static CUresult address_free(CUdeviceptr at, size_t bytes)
{
    return (CUresult)enter("cuMemAddressFree", UNSAFE, [=](held &h) {
        device *d = reserved(at, bytes);
        if (!d || d->reservations.count(at) == 0 || d->reservations[at] != bytes)
            return CUDA_ERROR_INVALID_VALUE;
        wait_until_stopped(h, *d);
        auto inside = d->mappings.lower_bound(at);
        if (inside != d->mappings.end() && inside->first < at + bytes)
            return CUDA_ERROR_INVALID_VALUE;
        d->reservations.erase(at);
        give_up(*d, at);
        return CUDA_SUCCESS;
    });
}

static CUresult create(CUmemGenericAllocationHandle *out, size_t bytes,
                       const CUmemAllocationProp *prop, unsigned long long flags)
{
    return (CUresult)enter("cuMemCreate", UNSAFE, [=](held &) {
        device *d = device_of(prop->location);
        if (!d || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED || !whole(bytes) || flags)
            return CUDA_ERROR_INVALID_VALUE;
        if (bytes > d->capacity - d->used)
            return CUDA_ERROR_OUT_OF_MEMORY;
        static CUmemGenericAllocationHandle made; /* under the lock */
        d->physicals[++made] = {bytes, false, false};
        d->used += bytes;
        *out = made;
        return CUDA_SUCCESS;
    });
}

static CUresult release(CUmemGenericAllocationHandle handle)
{
    return (CUresult)enter("cuMemRelease", UNSAFE, [=](held &) {
        for (const auto &d : the().devices) {
            auto p = d->physicals.find(handle);
            if (p == d->physicals.end() || p->second.released)
                continue;
            p->second.released = true;
            let_go(*d, handle);
            return CUDA_SUCCESS;
        }
        return CUDA_ERROR_INVALID_VALUE;
    });
}

static CUresult map(CUdeviceptr at, size_t bytes, size_t offset,
                    CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    return (CUresult)enter("cuMemMap", UNSAFE, [=](held &h) {
        device *d = reserved(at, bytes);
        if (!d || at % GRANULE || !whole(bytes) || offset || flags)
            return CUDA_ERROR_INVALID_VALUE;
        wait_until_stopped(h, *d);
        auto p = d->physicals.find(handle);
        if (p == d->physicals.end() || p->second.released || p->second.bytes != bytes)
            return CUDA_ERROR_INVALID_VALUE;
        auto other = d->mappings.lower_bound(at);
        bool taken = other != d->mappings.end() && other->first < at + bytes;
        if (other != d->mappings.begin() && (--other, other->first + other->second.bytes > at))
            taken = true;
        if (taken || p->second.mapped)
            return CUDA_ERROR_ALREADY_MAPPED;
        p->second.mapped = true;
        d->mappings[at] = {bytes, handle, false};
        poison(h, *d, at, bytes);
        return CUDA_SUCCESS;
    });
}

static CUresult set_access(CUdeviceptr at, size_t bytes, const CUmemAccessDesc *desc, size_t count)
{
    return (CUresult)enter("cuMemSetAccess", UNSAFE, [=](held &h) {
        device *d = reserved(at, bytes);
        if (!d || count != 1 || device_of(desc->location) != d ||
            desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
            return CUDA_ERROR_INVALID_VALUE;
        wait_until_stopped(h, *d);
        const auto all = mapped(*d, at, bytes);
        if (all.empty())
            return CUDA_ERROR_INVALID_VALUE;
        for (auto m : all) {
            m->second.open = true;
            d->live.add((void *)m->first, m->second.bytes);
        }
        return CUDA_SUCCESS;
    });
}

/* Waits for nobody: work that is still to run finds nothing there. */
static CUresult unmap(CUdeviceptr at, size_t bytes)
{
    return (CUresult)enter("cuMemUnmap", UNSAFE, [=](held &h) {
        device *d = reserved(at, bytes);
        if (!d)
            return CUDA_ERROR_INVALID_VALUE;
        wait_until_stopped(h, *d);
        const auto all = mapped(*d, at, bytes);
        for (auto m : all) {
            const CUmemGenericAllocationHandle handle = m->second.of;
            size_t gone;
            d->live.remove((void *)m->first, &gone);
            take_back(m->first, m->second.bytes);
            d->mappings.erase(m);
            d->physicals[handle].mapped = false;
            let_go(*d, handle);
        }
        return all.empty() ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    });
}

static CUresult error_string(CUresult error, const char **out)
{
    *out = cudaGetErrorString((cudaError_t)error);
    return CUDA_SUCCESS;
}

static const struct {
    const char *name;
    void *function;
    unsigned since;
} entry_points[] = {
    {"cuMemGetAllocationGranularity", (void *)granularity, 10020},
    {"cuMemAddressReserve", (void *)address_reserve, 10020},
    {"cuMemAddressFree", (void *)address_free, 10020},
    {"cuMemCreate", (void *)create, 10020},
    {"cuMemRelease", (void *)release, 10020},
    {"cuMemMap", (void *)map, 10020},
    {"cuMemUnmap", (void *)unmap, 10020},
    {"cuMemSetAccess", (void *)set_access, 10020},
    {"cuGetErrorString", (void *)error_string, 6000},
};
} // namespace vendor

using namespace vendor;

cudaError_t cudaGetDriverEntryPointByVersion(const char *symbol, void **out, unsigned version,
                                             unsigned long long flags,
                                             enum cudaDriverEntryPointQueryResult *found)
{
    return call("cudaGetDriverEntryPointByVersion", SAFE, [=](held &) {
        enum cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
        if (flags & ~(unsigned long long)cudaEnablePerThreadDefaultStream)
            return cudaErrorInvalidValue;
        *out = NULL;
        for (const auto &e : entry_points)
            if (strcmp(e.name, symbol) == 0) {
                const bool enough = version >= e.since && version <= CUDART_VERSION;
                result =
                    enough ? cudaDriverEntryPointSuccess : cudaDriverEntryPointVersionNotSufficent;
                *out = enough ? e.function : NULL;
            }
        if (result == cudaDriverEntryPointSymbolNotFound)
            vendor_report("%s is asked for: not emulated", symbol);
        if (found)
            *found = result;
        return cudaSuccess;
    });
}
