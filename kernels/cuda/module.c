/* The CUDA backend as a module: its row, and a GPU from opening to closing. See README.md for what
 * is where. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kernels/cuda/device.h"
#include "kernels/cuda/why.h"

enum { FOLDER_BYTES = 1100, CLUSTERS_SINCE = 9 };

/* ---- what every part of the module asks ---- */

gpu *gpu_of(dev *d)
{
    if (d->status != DEV_OK || !gpu_good(d, cudaSetDevice(d->options.ordinal), "choosing the GPU"))
        return NULL;
    return d->impl;
}

bool gpu_good(dev *d, cudaError_t status, const char *what)
{
    if (status == cudaSuccess)
        return true;
    cudaGetLastError(); /* it is dealt with here; a device that is lost says so again */
    dev_fail(d, status == cudaErrorMemoryAllocation ? DEV_NO_MEMORY : DEV_BROKEN, "%s: %s: %s",
             d->name, what, cudaGetErrorString(status));
    return false;
}

void gpu_launched(dev *d, int status, const char *kernel)
{
    gpu_good(d, (cudaError_t)status, kernel);
}

void gpu_refused(dev *d, const char *why)
{
    dev_fail(d, why_is_memory(why) ? DEV_NO_MEMORY : DEV_BROKEN, "%s: %.200s", d->name, why);
}

bool gpu_waited(dev *d)
{
    const gpu *g = d->impl;
    return gpu_good(d, cudaStreamSynchronize(g->stream), "waiting for the device");
}

static bool blame(char *why, const dev *d, const char *what, const char *words)
{
    snprintf(why, WHY_BYTES, "%s: %s: %.180s", d->name, what, words);
    return false;
}

static bool opened(char *why, const dev *d, cudaError_t status, const char *what)
{
    if (status != cudaSuccess)
        cudaGetLastError();
    return status == cudaSuccess || blame(why, d, what, cudaGetErrorString(status));
}

/* ---- the parts of a GPU ---- */

static int count_devices(char *why)
{
    int n = 0;
    cudaError_t status = cudaGetDeviceCount(&n);
    if (status == cudaSuccess)
        return n;
    cudaGetLastError();
    snprintf(why, WHY_BYTES, "no CUDA device can be used: %s", cudaGetErrorString(status));
    return -1;
}

static bool choose_device(dev *d, gpu *g, char *why)
{
    int n = count_devices(why);
    if (n < 0)
        return false;
    if (d->options.ordinal >= n) {
        snprintf(why, WHY_BYTES, "%s: there are %d CUDA devices, expected a number below that",
                 d->name, n);
        return false;
    }
    if (!opened(why, d, cudaSetDevice(d->options.ordinal), "choosing the GPU") ||
        !opened(why, d, cudaGetDeviceProperties(&g->properties, d->options.ordinal), "asking it"))
        return false;
    /* The name that NVML knows it by; a GPU is always function 0. */
    snprintf(d->hardware, sizeof d->hardware, "%04x:%02x:%02x.0",
             (unsigned)g->properties.pciDomainID, (unsigned)g->properties.pciBusID,
             (unsigned)g->properties.pciDeviceID);
    if (g->properties.major < 8) {
        snprintf(why, WHY_BYTES,
                 "%s: %.60s has compute capability %d.%d, expected at least 8.0 (Ampere)", d->name,
                 g->properties.name, g->properties.major, g->properties.minor);
        return false;
    }
    size_t total;
    if (!opened(why, d, cudaMemGetInfo(&d->memory_bytes, &total), "asking for its memory"))
        return false;
    g->cluster_shared =
        g->properties.major >= CLUSTERS_SINCE ? g->properties.sharedMemPerBlockOptin : 0;
    return true;
}

/* cuDNN compiles attention with nvrtc, which looks for its own library by a bare name: that must be
 * loaded before (and from where nvrtc itself is). When it is not there, cuDNN will say so. */
static void load_compiler(void)
{
    char path[FOLDER_BYTES + 64], folder[FOLDER_BYTES] = "";
    snprintf(path, sizeof path, "libnvrtc.so.%d", CUDART_VERSION / 1000);
    void *nvrtc = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!nvrtc || dlinfo(nvrtc, RTLD_DI_ORIGIN, folder) != 0)
        return;
    snprintf(path, sizeof path, "%s/libnvrtc-builtins.so.%d.%d", folder, CUDART_VERSION / 1000,
             CUDART_VERSION % 1000 / 10);
    dlopen(path, RTLD_NOW | RTLD_GLOBAL);
}

static bool open_libraries(dev *d, gpu *g, char *why)
{
    load_compiler();
    cudnnStatus_t dnn = cudnnCreate(&g->cudnn);
    if (dnn == CUDNN_STATUS_SUCCESS)
        dnn = cudnnSetStream(g->cudnn, g->stream);
    if (dnn != CUDNN_STATUS_SUCCESS)
        return blame(why, d, "cuDNN", cudnnGetErrorString(dnn));
    cublasStatus_t blas = cublasLtCreate(&g->cublaslt);
    if (blas != CUBLAS_STATUS_SUCCESS)
        return blame(why, d, "cuBLASLt", cublasLtGetStatusString(blas));
    g->planner = planner_open(g->cudnn, why);
    return g->planner != NULL;
}

static bool open_memory(dev *d, gpu *g, char *why)
{
    bool good = opened(why, d, cudaMalloc(&g->workspace, WORKSPACE_BYTES), "workspace") &&
                opened(why, d, cudaMalloc(&g->zeros, ZERO_BYTES), "workspace") &&
                opened(why, d, cudaMemsetAsync(g->zeros, 0, ZERO_BYTES, g->stream), "workspace");
    for (int i = 0; i < 2 && good; i++)
        good = opened(why, d,
                      cudaHostAlloc((void **)&g->stage[i].host, STAGE_BYTES, cudaHostAllocDefault),
                      "pinned memory") &&
               opened(why, d, cudaEventCreateWithFlags(&g->stage[i].read, cudaEventDisableTiming),
                      "an event");
    good = good && opened(why, d, mirror_open(&g->hand, HAND_BYTES), "memory for arguments") &&
           opened(why, d, mirror_open(&g->ask, ASK_BYTES), "memory for arguments");
    if (good && !recorder_open(g))
        good = blame(why, d, "memory for arguments", WHY_MEMORY);
    if (good && !memory_open(d, g)) {
        snprintf(why, WHY_BYTES, "%s", d->error);
        return false;
    }
    return good;
}

/* ---- choices: the tuning table and the plans ---- */

static tuning_device device_of(const gpu *g)
{
    tuning_device t = {.sms = g->properties.multiProcessorCount,
                       .cudnn = (int64_t)cudnnGetVersion(),
                       .cublaslt = (int64_t)cublasLtGetVersion()};
    int driver = 0;
    cudaDriverGetVersion(&driver);
    t.driver = driver;
    snprintf(t.gpu, sizeof t.gpu, "%.*s", TUNING_GPU_BYTES - 1, g->properties.name);
    return t;
}

/* Without a folder, or with one that cannot be used, everything is chosen anew at each start. */
static void open_table(dev *d, gpu *g)
{
    char folder[FOLDER_BYTES], unusable[TUNING_WHY_BYTES] = "";
    const char *cache = d->options.cache;
    const tuning_device device = device_of(g);
    g->store.device = device;
    g->by_rows = d->options.exact == EXACT_OFF;
    if (cache)
        mkdir(cache, 0700); /* whether it is there now shows below */
    if (cache && snprintf(folder, sizeof folder, "%s/plans", cache) < (int)sizeof folder)
        g->stored = plan_store_open(&g->store, folder, &device, unusable);
    if (unusable[0])
        snprintf(d->notice, sizeof d->notice, "%s: plans are not kept: %.200s", d->name, unusable);
    table_read(d, g);
}

static bool open_choices(gpu *g, char *why)
{
    const plan_store *store = g->stored ? &g->store : NULL;
    g->plans = plans_new(
        &(plans_sources){
            .planner = g->planner, .table = &g->table, .store = store, .by_rows = g->by_rows},
        why);
    if (g->plans)
        g->products = products_new(
            &(products_sources){
                .handle = g->cublaslt, .table = &g->table, .store = store, .by_rows = g->by_rows},
            why);
    return g->products != NULL;
}

static void name_class(dev *d, gpu *g)
{
    const tuning_device t = device_of(g);
    g->table.device = t;
    snprintf(d->class_name, sizeof d->class_name,
             "%s %.63s, %lld SMs, driver %lld, cuDNN %lld, cuBLASLt %lld, tuning %016llx",
             d->options.backend, t.gpu, (long long)t.sms, (long long)t.driver, (long long)t.cudnn,
             (long long)t.cublaslt, (unsigned long long)tuning_hash(&g->table));
}

/* ---- life ---- */

static bool open_streams(dev *d, gpu *g, char *why)
{
    return opened(why, d, cudaStreamCreateWithFlags(&g->stream, cudaStreamNonBlocking),
                  "a stream") &&
           opened(why, d, cudaStreamCreateWithFlags(&g->fetching, cudaStreamNonBlocking),
                  "a stream") &&
           opened(why, d, cudaEventCreateWithFlags(&g->vacant, cudaEventDisableTiming),
                  "an event") &&
           opened(why, d, cudaEventCreateWithFlags(&g->arrived, cudaEventDisableTiming),
                  "an event");
}

static void close_fetching(gpu *g)
{
    if (g->arrived)
        cudaEventDestroy(g->arrived);
    if (g->vacant)
        cudaEventDestroy(g->vacant);
    if (g->fetching)
        cudaStreamDestroy(g->fetching);
}

static void close_gpu(dev *d)
{
    gpu *g = d->impl;
    cudaSetDevice(d->options.ordinal);
    const bool well = !g->stream || cudaStreamSynchronize(g->stream) == cudaSuccess;
    close_fetching(g);
    recorder_close(g);
    if (well) /* what a lost device refused is no choice */
        choices_keep(g);
    plans_free(&g->plans);
    products_free(&g->products);
    planner_free(&g->planner);
    tuning_done(&g->table);
    if (g->cublaslt)
        cublasLtDestroy(g->cublaslt);
    if (g->cudnn)
        cudnnDestroy(g->cudnn);
    mirror_close(&g->hand);
    mirror_close(&g->ask);
    for (int i = 0; i < 2; i++) {
        if (g->stage[i].read)
            cudaEventDestroy(g->stage[i].read);
        cudaFreeHost(g->stage[i].host);
    }
    cudaFree(g->zeros);
    cudaFree(g->workspace);
    if (g->stream)
        cudaStreamDestroy(g->stream);
    free(g);
    d->impl = NULL;
}

/* A dry device knows the GPU and its tuning table, which says what memory weights take; it has
 * nothing of it. */
static bool open_gpu(dev *d, char *why)
{
    gpu *g = calloc(1, sizeof *g);
    why[0] = 0;
    if (!g)
        return blame(why, d, "opening", WHY_MEMORY);
    d->impl = g;
    bool good = choose_device(d, g, why);
    if (good && !d->options.dry)
        good = open_streams(d, g, why) && open_libraries(d, g, why) && open_memory(d, g, why);
    if (good)
        open_table(d, g);
    if (good && !d->options.dry)
        good = open_choices(g, why);
    if (good)
        name_class(d, g);
    else
        close_gpu(d);
    return good;
}

static int bucket_of(const dev *d, int rows)
{
    (void)d;
    for (int i = 0; i < BUCKETS; i++)
        if (rows <= bucket_rows[i])
            return (int)bucket_rows[i];
    return rows;
}

#define ENTRY(name, cpu) .name = cuda_##name,
static const kernel_table kernels = {KERNELS(ENTRY)};
#undef ENTRY

static const backend row = {.name = "cuda",
                            .version = OVERPAINT_VERSION,
                            .dev_bytes = sizeof(dev),
                            .table_bytes = sizeof(kernel_table),
                            .storage = F16,
                            .kernels = &kernels,
                            .memory = &gpu_memory,
                            .open = open_gpu,
                            .close = close_gpu,
                            .run = recorder_run,
                            .rows = bucket_of,
                            .doubles = doubles,
                            .tune = tune_gpu,
                            .count = count_devices};

const backend *overpaint_backend(void);
const backend *overpaint_backend(void)
{
    return &row;
}
