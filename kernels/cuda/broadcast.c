/* Broadcasts: see broadcast.h. The one idea: whoever wants the bytes speaks for both GPUs, in one
 * group call, so that no other thread has to come along; the source lends its memory and a stream
 * that is made for this.
 *
 * NCCL sees portions in memory of its own kind (cudaMalloc) and never the weights themselves: they
 * lie behind reserved addresses, which only their own GPU may use, and NCCL has GPUs of one process
 * look into each other's buffers. Everything is given back at the end, because a communicator holds
 * memory that models need.
 *
 * Interface: NCCL's documentation (https://docs.nvidia.com/deeplearning/nccl), and its header. */
#include "kernels/cuda/broadcast.h"

#include <dlfcn.h>
#include <nccl.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

enum { ROOT, RECEIVER, RANKS };
enum { PORTION_BYTES = 32 << 20, LOOK_EVERY_NS = 100000 };
/* A portion takes milliseconds even through the host: then it is not coming any more, as on
 * machines where GPUs that may reach each other cannot. */
static const double PATIENCE_SECONDS = 5;

#define CALLS(F)                                                                                   \
    F(ncclGetVersion)                                                                              \
    F(ncclGetErrorString)                                                                          \
    F(ncclCommInitAll)                                                                             \
    F(ncclCommDestroy)                                                                             \
    F(ncclCommAbort)                                                                               \
    F(ncclCommGetAsyncError)                                                                       \
    F(ncclGroupStart)                                                                              \
    F(ncclGroupEnd)                                                                                \
    F(ncclBroadcast)

typedef struct {
#define FIELD(name) __typeof__(name) *name;
    CALLS(FIELD)
#undef FIELD
    char version[32];
} library;

/* Both ends, by rank. */
typedef struct {
    library nccl;
    int device[RANKS];
    cudaStream_t stream[RANKS];
    cudaEvent_t done[RANKS];
    void *portion[RANKS];
    ncclComm_t comm[RANKS]; /* NULL: not connected */
    char *why;
} pair;

/* One at a time: communicators that share a GPU and begin in unlike orders could wait for each
 * other. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

/* ---- errors ---- */

static bool cuda_good(pair *p, cudaError_t status, const char *what)
{
    if (status == cudaSuccess)
        return true;
    snprintf(p->why, BROADCAST_WHY, "%s: %.100s", what, cudaGetErrorString(status));
    return false;
}

static bool nccl_good(pair *p, ncclResult_t result, const char *what)
{
    if (result == ncclSuccess)
        return true;
    snprintf(p->why, BROADCAST_WHY, "%s: %s: %.80s", p->nccl.version, what,
             p->nccl.ncclGetErrorString(result));
    return false;
}

/* ---- opening and closing ---- */

static bool find_library(pair *p)
{
    int number = 0;
    library *l = &p->nccl;
    void *found = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!found) {
        snprintf(p->why, BROADCAST_WHY, "%.120s", dlerror());
        return false;
    }
#define FIND(name)                                                                                 \
    if (!(l->name = (__typeof__(l->name))dlsym(found, #name))) {                                   \
        snprintf(p->why, BROADCAST_WHY, "libnccl.so.2 has no " #name);                             \
        return false;                                                                              \
    }
    CALLS(FIND)
#undef FIND
    snprintf(l->version, sizeof l->version, "NCCL");
    if (!nccl_good(p, l->ncclGetVersion(&number), "asking for the version"))
        return false;
    snprintf(l->version, sizeof l->version, "NCCL %d.%d.%d", number / 10000, number / 100 % 100,
             number % 100);
    return true;
}

static bool open_end(pair *p, int rank)
{
    return cuda_good(p, cudaSetDevice(p->device[rank]), "choosing the GPU") &&
           (p->stream[rank] ||
            cuda_good(p, cudaStreamCreateWithFlags(&p->stream[rank], cudaStreamNonBlocking),
                      "a stream")) &&
           cuda_good(p, cudaEventCreateWithFlags(&p->done[rank], cudaEventDisableTiming),
                     "an event") &&
           cuda_good(p, cudaMalloc(&p->portion[rank], PORTION_BYTES), "memory for NCCL");
}

/* The receiver's stream is empty then, so that portions wait for nothing but each other. */
static bool open_pair(pair *p)
{
    return find_library(p) && open_end(p, ROOT) && open_end(p, RECEIVER) &&
           cuda_good(p, cudaStreamSynchronize(p->stream[RECEIVER]), "waiting for the GPU") &&
           nccl_good(p, p->nccl.ncclCommInitAll(p->comm, RANKS, p->device), "connecting");
}

static void close_end(pair *p, const broadcast *b, int rank)
{
    if (cudaSetDevice(p->device[rank]) != cudaSuccess &&
        cudaSetDevice(p->device[rank]) != cudaSuccess) /* the first may tell another call's error */
        return;                                        /* the GPU is lost, with all that it had */
    if (p->stream[rank])
        cudaStreamSynchronize(p->stream[rank]);
    if (p->done[rank])
        cudaEventDestroy(p->done[rank]);
    cudaFree(p->portion[rank]);
    if (p->stream[rank] && p->stream[rank] != b->stream)
        cudaStreamDestroy(p->stream[rank]);
}

/* What was broken off has to end before memory goes. */
static void close_pair(pair *p, const broadcast *b, bool well)
{
    for (int rank = 0; rank < RANKS; rank++)
        if (p->comm[rank])
            (well ? p->nccl.ncclCommDestroy : p->nccl.ncclCommAbort)(p->comm[rank]);
    for (int rank = 0; rank < RANKS; rank++)
        close_end(p, b, rank);
    cudaGetLastError(); /* it was told, or is told again */
}

/* ---- portions ---- */

/* A group is ended whatever went wrong in it. */
static bool send_group(pair *p, size_t bytes)
{
    if (!nccl_good(p, p->nccl.ncclGroupStart(), "a group"))
        return false;
    bool good = true;
    for (int rank = 0; rank < RANKS && good; rank++)
        good = nccl_good(p,
                         p->nccl.ncclBroadcast(p->portion[rank], p->portion[rank], bytes, ncclUint8,
                                               ROOT, p->comm[rank], p->stream[rank]),
                         "sending");
    const ncclResult_t ended = p->nccl.ncclGroupEnd();
    return good && nccl_good(p, ended, "sending");
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool is_well(pair *p)
{
    for (int rank = 0; rank < RANKS; rank++) {
        ncclResult_t result = ncclSuccess;
        if (!nccl_good(p, p->nccl.ncclCommGetAsyncError(p->comm[rank], &result), "asking") ||
            !nccl_good(p, result, "on its way"))
            return false;
    }
    return true;
}

static bool wait_for(pair *p, int rank, double until)
{
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_NS};
    cudaError_t status;
    while ((status = cudaEventQuery(p->done[rank])) == cudaErrorNotReady) {
        if (!is_well(p))
            return false;
        if (seconds() > until) {
            snprintf(p->why, BROADCAST_WHY, "%s: nothing came within %.0f s", p->nccl.version,
                     PATIENCE_SECONDS);
            return false;
        }
        nanosleep(&pause, NULL);
    }
    return cuda_good(p, status, "waiting for NCCL");
}

static bool wait_for_both(pair *p)
{
    const double until = seconds() + PATIENCE_SECONDS;
    return wait_for(p, ROOT, until) && wait_for(p, RECEIVER, until) && is_well(p);
}

/* Weights -> the source's portion -> the receiver's portion -> weights. */
static bool send_portion(pair *p, void *to, const void *from, size_t bytes)
{
    return cuda_good(p, cudaSetDevice(p->device[ROOT]), "choosing the GPU") &&
           cuda_good(p,
                     cudaMemcpyAsync(p->portion[ROOT], from, bytes, cudaMemcpyDeviceToDevice,
                                     p->stream[ROOT]),
                     "a copy for NCCL") &&
           send_group(p, bytes) &&
           cuda_good(p, cudaEventRecord(p->done[ROOT], p->stream[ROOT]), "an event") &&
           cuda_good(p, cudaSetDevice(p->device[RECEIVER]), "choosing the GPU") &&
           cuda_good(p,
                     cudaMemcpyAsync(to, p->portion[RECEIVER], bytes, cudaMemcpyDeviceToDevice,
                                     p->stream[RECEIVER]),
                     "a copy from NCCL") &&
           cuda_good(p, cudaEventRecord(p->done[RECEIVER], p->stream[RECEIVER]), "an event") &&
           wait_for_both(p);
}

bool broadcast_run(const broadcast *b, char why[BROADCAST_WHY])
{
    pair p = {.device = {b->from_device, b->to_device}, .stream = {NULL, b->stream}, .why = why};
    pthread_mutex_lock(&turn);
    bool good = open_pair(&p);
    for (size_t done = 0, n; good && done < b->bytes; done += n) {
        n = b->bytes - done < PORTION_BYTES ? b->bytes - done : PORTION_BYTES;
        good = send_portion(&p, (char *)b->to + done, (const char *)b->from + done, n);
    }
    close_pair(&p, b, good);
    pthread_mutex_unlock(&turn);
    if (good)
        snprintf(why, BROADCAST_WHY, "%s", p.nccl.version);
    return good;
}
