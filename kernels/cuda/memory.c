/* The GPU's memory: see backend.h. Arenas are address space behind which memory comes in steps, by
 * the driver's virtual memory calls, so that a pointer never moves and a recorded graph stays
 * right. Transfers go through pinned memory of ours, in two halves: one is filled while the device
 * reads the other. */
#include <assert.h>
#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/broadcast.h"
#include "kernels/cuda/device.h"

/* ---- the driver's calls ---- */

static const char *const driver_names[DRIVER_CALLS] = {
    [DRIVER_RESERVE] = "cuMemAddressReserve",
    [DRIVER_FREE] = "cuMemAddressFree",
    [DRIVER_CREATE] = "cuMemCreate",
    [DRIVER_RELEASE] = "cuMemRelease",
    [DRIVER_MAP] = "cuMemMap",
    [DRIVER_UNMAP] = "cuMemUnmap",
    [DRIVER_ACCESS] = "cuMemSetAccess",
};
enum { DRIVER_SINCE = 10020 }; /* CUDA 10.2 */

typedef CUresult reserve_call(CUdeviceptr *, size_t, size_t, CUdeviceptr, unsigned long long);
typedef CUresult range_call(CUdeviceptr, size_t); /* free and unmap */
typedef CUresult create_call(CUmemGenericAllocationHandle *, size_t, const CUmemAllocationProp *,
                             unsigned long long);
typedef CUresult release_call(CUmemGenericAllocationHandle);
typedef CUresult map_call(CUdeviceptr, size_t, size_t, CUmemGenericAllocationHandle,
                          unsigned long long);
typedef CUresult access_call(CUdeviceptr, size_t, const CUmemAccessDesc *, size_t);

bool memory_open(dev *d, gpu *g)
{
    for (int i = 0; i < DRIVER_CALLS; i++) {
        void *found = NULL;
        enum cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
        if (!gpu_good(d,
                      cudaGetDriverEntryPointByVersion(driver_names[i], &found, DRIVER_SINCE,
                                                       cudaEnableDefault, &result),
                      driver_names[i]))
            return false;
        if (result != cudaDriverEntryPointSuccess) {
            dev_fail(d, DEV_BROKEN, "%s: the driver has no %s", d->name, driver_names[i]);
            return false;
        }
        g->driver[i] = (driver_call *)found;
    }
    return true;
}

/* The driver's errors have the runtime's numbers. */
static bool driver_good(dev *d, CUresult status, int which)
{
    return gpu_good(d, (cudaError_t)status, driver_names[which]);
}

/* ---- arenas ---- */

static size_t whole_steps(size_t bytes)
{
    return (bytes + ARENA_STEP - 1) / ARENA_STEP * ARENA_STEP;
}

static void *reserve(void *owner, size_t capacity)
{
    dev *d = owner;
    gpu *g = gpu_of(d);
    CUdeviceptr base = 0;
    if (!g || !driver_good(d,
                           ((reserve_call *)g->driver[DRIVER_RESERVE])(&base, whole_steps(capacity),
                                                                       ARENA_STEP, 0, 0),
                           DRIVER_RESERVE))
        return NULL;
    return (void *)base;
}

/* A step of memory, not mapped yet. Records hold some that nobody has asked for. */
static CUresult create_step(gpu *g, CUmemLocation here, CUmemGenericAllocationHandle *to)
{
    const CUmemAllocationProp kind = {.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = here};
    create_call *create = (create_call *)g->driver[DRIVER_CREATE];
    CUresult status = create(to, ARENA_STEP, &kind, 0);
    if (status == CUDA_ERROR_OUT_OF_MEMORY && recorder_forget(g))
        status = create(to, ARENA_STEP, &kind, 0);
    return status;
}

/* One step of memory behind `at`, zeroed. */
static bool back_step(dev *d, gpu *g, CUdeviceptr at)
{
    const CUmemLocation here = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = d->options.ordinal};
    const CUmemAccessDesc access = {.location = here, .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUmemGenericAllocationHandle memory;
    if (!driver_good(d, create_step(g, here, &memory), DRIVER_CREATE))
        return false;
    bool good = driver_good(d, ((map_call *)g->driver[DRIVER_MAP])(at, ARENA_STEP, 0, memory, 0),
                            DRIVER_MAP);
    ((release_call *)g->driver[DRIVER_RELEASE])(memory); /* the mapping keeps it */
    if (!good)
        return false;
    good = driver_good(d, ((access_call *)g->driver[DRIVER_ACCESS])(at, ARENA_STEP, &access, 1),
                       DRIVER_ACCESS) &&
           gpu_good(d, cudaMemsetAsync((void *)at, 0, ARENA_STEP, g->stream), "clearing memory");
    if (!good)
        ((range_call *)g->driver[DRIVER_UNMAP])(at, ARENA_STEP);
    return good;
}

/* What gives memory back does so after an error too. */
static void trim(void *owner, void *base, size_t from, size_t to)
{
    dev *d = owner;
    gpu *g = d->impl;
    cudaSetDevice(d->options.ordinal);
    cudaStreamSynchronize(g->fetching);
    if (cudaStreamSynchronize(g->stream) != cudaSuccess)
        cudaStreamSynchronize(g->stream); /* that error was another call's; or the device is lost */
    cudaGetLastError();
    recorder_forget(g);
    for (size_t at = from; at < to; at += ARENA_STEP)
        ((range_call *)g->driver[DRIVER_UNMAP])((CUdeviceptr)base + at, ARENA_STEP);
}

static bool back(void *owner, void *base, size_t from, size_t to)
{
    dev *d = owner;
    gpu *g = gpu_of(d);
    if (!g)
        return false;
    for (size_t at = from; at < to; at += ARENA_STEP)
        if (!back_step(d, g, (CUdeviceptr)base + at)) {
            if (at > from)
                trim(owner, base, from, at);
            return false;
        }
    return true;
}

static void end(void *owner, void *base, size_t capacity, size_t backed)
{
    const dev *d = owner;
    const gpu *g = d->impl;
    if (backed)
        trim(owner, base, 0, backed);
    ((range_call *)g->driver[DRIVER_FREE])((CUdeviceptr)base, whole_steps(capacity));
}

/* ---- tensors that stay ---- */

static void *take(dev *d, size_t bytes)
{
    void *p = NULL;
    gpu *g = gpu_of(d);
    if (!g)
        return NULL;
    cudaError_t status = cudaMalloc(&p, bytes);
    if (status == cudaErrorMemoryAllocation && recorder_forget(g))
        status = cudaMalloc(&p, bytes);
    if (!gpu_good(d, status, "memory for a tensor"))
        return NULL;
    gpu_good(d, cudaMemsetAsync(p, 0, bytes, g->stream), "clearing memory");
    return p;
}

static void give(dev *d, void *p)
{
    cudaSetDevice(d->options.ordinal);
    cudaFree(p); /* waits for the device */
    cudaGetLastError();
}

/* ---- transfers ---- */

cudaError_t mirror_open(mirror *m, size_t room)
{
    *m = (mirror){.room = room};
    cudaError_t status = cudaHostAlloc((void **)&m->host, room, cudaHostAllocDefault);
    if (status == cudaSuccess)
        status = cudaMalloc((void **)&m->there, room);
    if (status != cudaSuccess)
        mirror_close(m);
    return status;
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
    const gpu *g = gpu_of(d);
    for (size_t done = 0, n; g && done < bytes; done += n) {
        char *half =
            g->stage[g->turn].host; /* whatever is read from it comes first in the stream */
        n = portion(bytes - done);
        if (!gpu_good(d,
                      cudaMemcpyAsync(half, (const char *)from + done, n, cudaMemcpyDeviceToHost,
                                      g->stream),
                      "a transfer") ||
            !gpu_waited(d))
            return;
        memcpy((char *)to + done, half, n);
    }
}

/* A copy between peers is right for memory of any kind, also where neither may look into the other:
 * then the driver goes through the host. It is also what is left when NCCL is not there, or does
 * not bring all. */
static void copy_memory(dev *d, void *to, const dev *other, const void *from, size_t bytes,
                        dev_copying how)
{
    gpu *g = gpu_of(d);
    if (!g)
        return;
    assert(g->mode == ACT); /* copies are no ops of a walk, and NCCL is never captured */
    const broadcast b = {.from_device = other->options.ordinal,
                         .to_device = d->options.ordinal,
                         .from = from,
                         .to = to,
                         .bytes = bytes,
                         .stream = g->stream};
    char why[BROADCAST_WHY];
    if (how == COPY_ONCE && broadcast_run(&b, why)) {
        snprintf(d->carrier, sizeof d->carrier, "%s", why);
        return;
    }
    if (how == COPY_ONCE)
        snprintf(d->carrier, sizeof d->carrier, "peer copies: %s", why);
    if (gpu_of(d))
        gpu_good(d,
                 cudaMemcpyPeerAsync(to, d->options.ordinal, from, other->options.ordinal, bytes,
                                     g->stream),
                 "a copy from another GPU");
}

static void wait_for_all(dev *d)
{
    if (gpu_of(d))
        gpu_waited(d);
}

/* ---- stocks ---- */

static void *hold(dev *d, size_t bytes)
{
    void *p = NULL;
    if (!gpu_of(d) || !gpu_good(d, cudaHostAlloc(&p, bytes, cudaHostAllocDefault), "pinned memory"))
        return NULL;
    return memset(p, 0, bytes);
}

static void let_go(dev *d, void *p)
{
    const gpu *g = d->impl;
    cudaSetDevice(d->options.ordinal);
    cudaStreamSynchronize(g->fetching);
    cudaFreeHost(p);
    cudaGetLastError();
}

/* On a stream of its own: beside the ops that come next, behind those that were before. A graph
 * takes it in, because that stream joins a capture where it waits for the other. */
static void fetch(dev *d, void *to, const void *from, size_t bytes)
{
    gpu *g = gpu_of(d);
    const uint64_t word[] = {(uintptr_t)to, (uintptr_t)from, bytes};
    if (launches(d, "fetch", word, 3) &&
        gpu_good(d, cudaEventRecord(g->vacant, g->stream), "fetching") &&
        gpu_good(d, cudaStreamWaitEvent(g->fetching, g->vacant, 0), "fetching") &&
        gpu_good(d, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, g->fetching),
                 "fetching"))
        gpu_good(d, cudaEventRecord(g->arrived, g->fetching), "fetching");
}

static void fetched(dev *d)
{
    gpu *g = gpu_of(d);
    if (launches(d, "fetched", NULL, 0))
        gpu_good(d, cudaStreamWaitEvent(g->stream, g->arrived, 0), "fetching");
}

const backend_memory gpu_memory = {.take = take,
                                   .give = give,
                                   .write = write_memory,
                                   .read = read_memory,
                                   .copy = copy_memory,
                                   .wait = wait_for_all,
                                   .hold = hold,
                                   .let_go = let_go,
                                   .fetch = fetch,
                                   .fetched = fetched,
                                   .arena = {reserve, back, trim, end}};
