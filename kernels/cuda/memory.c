/* The GPU's memory: see backend.h. Arenas are address space behind which memory comes in steps, by
 * the driver's virtual memory calls, so that a pointer never moves and a recorded graph stays
 * right. Transfers go through pinned memory of ours, in two halves: one is filled while the device
 * reads the other. */
#include <cuda.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/device.h"

/* ---- the driver's calls, found through the runtime so that nothing links to the driver ---- */

static const char *const driver_names[] = {
    "cuMemAddressReserve", "cuMemAddressFree", "cuMemCreate", "cuMemRelease", "cuMemMap",
    "cuMemUnmap",          "cuMemSetAccess",
};
enum { RESERVE, FREE, CREATE, RELEASE, MAP, UNMAP, ACCESS, DRIVER_CALLS };
enum { DRIVER_SINCE = 10020 }; /* CUDA 10.2 */

typedef CUresult (*reserve_call)(CUdeviceptr *, size_t, size_t, CUdeviceptr, unsigned long long);
typedef CUresult (*range_call)(CUdeviceptr, size_t); /* free and unmap */
typedef CUresult (*create_call)(CUmemGenericAllocationHandle *, size_t, const CUmemAllocationProp *,
                                unsigned long long);
typedef CUresult (*release_call)(CUmemGenericAllocationHandle);
typedef CUresult (*map_call)(CUdeviceptr, size_t, size_t, CUmemGenericAllocationHandle,
                             unsigned long long);
typedef CUresult (*access_call)(CUdeviceptr, size_t, const CUmemAccessDesc *, size_t);
typedef void (*any_call)(void);

static any_call driver_call(dev *d, int which)
{
    void *found = NULL;
    enum cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
    gpu_good(d,
             cudaGetDriverEntryPointByVersion(driver_names[which], &found, DRIVER_SINCE,
                                              cudaEnableDefault, &result),
             driver_names[which]);
    if (result != cudaDriverEntryPointSuccess)
        dev_fail(d, DEV_BROKEN, "%s: the driver has no %s", d->name, driver_names[which]);
    return d->status == DEV_OK ? (any_call)found : NULL;
}

/* ---- arenas ---- */

static size_t whole_steps(size_t bytes)
{
    return (bytes + ARENA_STEP - 1) / ARENA_STEP * ARENA_STEP;
}

static void *reserve(void *owner, size_t capacity)
{
    dev *d = owner;
    CUdeviceptr base = 0;
    reserve_call call = gpu_of(d) ? (reserve_call)driver_call(d, RESERVE) : NULL;
    if (!call || call(&base, whole_steps(capacity), ARENA_STEP, 0, 0) != CUDA_SUCCESS)
        return NULL;
    return (void *)base;
}

/* One step of memory behind `at`, zeroed. */
static bool back_step(dev *d, CUdeviceptr at)
{
    const CUmemLocation here = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = d->options.ordinal};
    const CUmemAllocationProp kind = {.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = here};
    const CUmemAccessDesc access = {.location = here, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemGenericAllocationHandle memory;
    create_call create = (create_call)driver_call(d, CREATE);
    release_call release = (release_call)driver_call(d, RELEASE);
    map_call map = (map_call)driver_call(d, MAP);
    access_call allow = (access_call)driver_call(d, ACCESS);
    range_call unmap = (range_call)driver_call(d, UNMAP);
    gpu *g = gpu_of(d);
    if (!g || create(&memory, ARENA_STEP, &kind, 0) != CUDA_SUCCESS)
        return false;
    bool good = map(at, ARENA_STEP, 0, memory, 0) == CUDA_SUCCESS;
    release(memory); /* the mapping keeps it */
    if (!good)
        return false;
    good = allow(at, ARENA_STEP, &access, 1) == CUDA_SUCCESS &&
           gpu_good(d, cudaMemsetAsync((void *)at, 0, ARENA_STEP, g->stream), "clearing memory");
    if (!good)
        unmap(at, ARENA_STEP);
    return good;
}

static void trim(void *owner, void *base, size_t from, size_t to)
{
    dev *d = owner;
    gpu *g = gpu_of(d);
    range_call unmap = g ? (range_call)driver_call(d, UNMAP) : NULL;
    if (!unmap || !gpu_good(d, cudaStreamSynchronize(g->stream), "waiting for the device"))
        return; /* the process ends soon */
    recorder_forget(g);
    for (size_t at = from; at < to; at += ARENA_STEP)
        unmap((CUdeviceptr)base + at, ARENA_STEP);
}

static bool back(void *owner, void *base, size_t from, size_t to)
{
    dev *d = owner;
    if (!gpu_of(d))
        return false;
    for (size_t at = from; at < to; at += ARENA_STEP)
        if (!back_step(d, (CUdeviceptr)base + at)) {
            if (at > from)
                trim(owner, base, from, at);
            return false;
        }
    return true;
}

static void end(void *owner, void *base, size_t capacity, size_t backed)
{
    dev *d = owner;
    if (backed)
        trim(owner, base, 0, backed);
    range_call give = gpu_of(d) ? (range_call)driver_call(d, FREE) : NULL;
    if (give)
        give((CUdeviceptr)base, whole_steps(capacity));
}

/* ---- tensors that stay ---- */

static void *take(dev *d, size_t bytes)
{
    void *p = NULL;
    gpu *g = gpu_of(d);
    if (!g || cudaMalloc(&p, bytes) != cudaSuccess) {
        cudaGetLastError(); /* out of memory is not an error that stays */
        return NULL;
    }
    gpu_good(d, cudaMemsetAsync(p, 0, bytes, g->stream), "clearing memory");
    return p;
}

static void give(dev *d, void *p)
{
    if (cudaSetDevice(d->options.ordinal) == cudaSuccess)
        cudaFree(p); /* waits for the device */
}

/* ---- transfers ---- */

bool mirror_open(mirror *m, size_t room)
{
    *m = (mirror){.room = room};
    return cudaHostAlloc((void **)&m->host, room, cudaHostAllocDefault) == cudaSuccess &&
           cudaMalloc((void **)&m->there, room) == cudaSuccess;
}

void mirror_close(mirror *m)
{
    cudaFreeHost(m->host);
    cudaFree(m->there);
    *m = (mirror){0};
}

char *stage_take(dev *d)
{
    gpu *g = gpu_of(d);
    if (!g)
        return NULL;
    stage_half *half = &g->stage[g->turn];
    return gpu_good(d, cudaEventSynchronize(half->read), "waiting for a transfer") ? half->host
                                                                                   : NULL;
}

void stage_send(dev *d, void *to, size_t bytes)
{
    gpu *g = gpu_of(d);
    if (!g)
        return;
    stage_half *half = &g->stage[g->turn];
    g->turn ^= 1;
    if (gpu_good(d, cudaMemcpyAsync(to, half->host, bytes, cudaMemcpyHostToDevice, g->stream),
                 "a transfer"))
        gpu_good(d, cudaEventRecord(half->read, g->stream), "a transfer");
}

static size_t portion(size_t bytes)
{
    return bytes < STAGE_BYTES ? bytes : STAGE_BYTES;
}

static void write_memory(dev *d, void *to, const void *from, size_t bytes)
{
    for (size_t done = 0, n; done < bytes; done += n) {
        char *half = stage_take(d);
        if (!half)
            return;
        n = portion(bytes - done);
        memcpy(half, (const char *)from + done, n);
        stage_send(d, (char *)to + done, n);
    }
}

static void read_memory(dev *d, void *to, const void *from, size_t bytes)
{
    gpu *g = gpu_of(d);
    for (size_t done = 0, n; done < bytes; done += n) {
        char *half = stage_take(d);
        n = portion(bytes - done);
        if (!half ||
            !gpu_good(d,
                      cudaMemcpyAsync(half, (const char *)from + done, n, cudaMemcpyDeviceToHost,
                                      g->stream),
                      "a transfer") ||
            !gpu_good(d, cudaStreamSynchronize(g->stream), "waiting for the device"))
            return;
        memcpy((char *)to + done, half, n);
    }
}

const backend_memory gpu_memory = {
    take, give, write_memory, read_memory, {reserve, back, trim, end}};
