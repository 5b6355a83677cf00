/* GPUs through NVML: see nvml.h. The one idea: every call is optional but the three that find a
 * GPU; a call that this driver's library does not have, or that fails, leaves its value out.
 *
 * Names, types and numbers are those of the "NVML API Reference Guide"
 * (https://docs.nvidia.com/deploy/nvml-api), which NVIDIA keeps stable: a changed call gets a new
 * name (_v2, …), and the old one stays. */
#include "kernels/nvml.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct nvmlDevice_st *nvml_handle;
typedef struct nvmlEventSet_st *nvml_events;

typedef struct {
    unsigned long long total, free, used;
} nvml_memory;

typedef struct {
    unsigned gpu, memory; /* percent of the last second or less in which it was busy */
} nvml_utilisation;

typedef struct {
    nvml_handle device;
    unsigned long long type, data;
    unsigned gpu_instance, compute_instance;
} nvml_event;

enum {
    NVML_SUCCESS = 0,
    NVML_ERROR_TIMEOUT = 10,
    NVML_TEMPERATURE_GPU = 0,
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED = 1,
    NVML_VOLATILE_ECC = 0, /* counted since the driver was loaded */
    NVML_EVENT_XID = 8,
    EVENTS_MOST = 64, /* taken in one reading: what follows is there at the next */
};

/* Every call of the library's: whether nothing works without it, its name, its arguments. */
#define NVML_CALLS(F)                                                                              \
    F(true, nvmlInit_v2, (void))                                                                   \
    F(true, nvmlShutdown, (void))                                                                  \
    F(true, nvmlDeviceGetHandleByPciBusId_v2, (const char *pci, nvml_handle *handle))              \
    F(false, nvmlDeviceGetMemoryInfo, (nvml_handle, nvml_memory *))                                \
    F(false, nvmlDeviceGetUtilizationRates, (nvml_handle, nvml_utilisation *))                     \
    F(false, nvmlDeviceGetTemperature, (nvml_handle, int sensor, unsigned *celsius))               \
    F(false, nvmlDeviceGetPowerUsage, (nvml_handle, unsigned *milliwatts))                         \
    F(false, nvmlDeviceGetTotalEccErrors,                                                          \
      (nvml_handle, int type, int counter, unsigned long long *count))                             \
    F(false, nvmlEventSetCreate, (nvml_events *))                                                  \
    F(false, nvmlEventSetFree, (nvml_events))                                                      \
    F(false, nvmlDeviceRegisterEvents, (nvml_handle, unsigned long long types, nvml_events))       \
    F(false, nvmlEventSetWait_v2, (nvml_events, nvml_event *, unsigned timeout_ms))

struct nvml {
    void *library;
#define CALL(needed, name, arguments) int(*name) arguments;
    NVML_CALLS(CALL)
#undef CALL
};

static const struct {
    const char *name;
    size_t at;
    bool needed;
} calls[] = {
#define CALL(needed, name, arguments) {#name, offsetof(struct nvml, name), needed},
    NVML_CALLS(CALL)
#undef CALL
};

/* ---------------------------------------------------------------- life */

static bool find_calls(nvml *n, const char *library, char *why)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        void *found = dlsym(n->library, calls[i].name);
        memcpy((char *)n + calls[i].at, &found, sizeof found);
        if (!found && calls[i].needed) {
            snprintf(why, TELEMETRY_WHY_BYTES, "%s has no %s", library, calls[i].name);
            return false;
        }
    }
    return true;
}

nvml *nvml_open(const char *library, char *why)
{
    nvml *n = calloc(1, sizeof *n);
    if (!n) {
        snprintf(why, TELEMETRY_WHY_BYTES, "no memory");
        return NULL;
    }
    n->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!n->library) {
        snprintf(why, TELEMETRY_WHY_BYTES, "%s", dlerror());
        goto out;
    }
    if (!find_calls(n, library, why))
        goto out;
    const int rc = n->nvmlInit_v2();
    if (rc == NVML_SUCCESS)
        return n;
    snprintf(why, TELEMETRY_WHY_BYTES, "%s: nvmlInit_v2 says %d", library, rc);
out:
    if (n->library)
        dlclose(n->library);
    free(n);
    return NULL;
}

void nvml_close(nvml **at)
{
    nvml *n = *at;
    if (!n)
        return;
    n->nvmlShutdown();
    dlclose(n->library);
    free(n);
    *at = NULL;
}

/* ---------------------------------------------------------------- one GPU */

/* A set of its own for every GPU: an event then needs no name. */
static void watch_xids(nvml *n, nvml_gpu *gpu)
{
    if (!n->nvmlEventSetCreate || !n->nvmlEventSetFree || !n->nvmlDeviceRegisterEvents ||
        !n->nvmlEventSetWait_v2 || n->nvmlEventSetCreate(&gpu->events) != NVML_SUCCESS)
        gpu->events = NULL;
    else if (n->nvmlDeviceRegisterEvents(gpu->handle, NVML_EVENT_XID, gpu->events) != NVML_SUCCESS)
        nvml_forget(n, gpu);
}

bool nvml_find(nvml *n, nvml_gpu *gpu, const char *pci, char *why)
{
    *gpu = (nvml_gpu){0};
    const int rc = n->nvmlDeviceGetHandleByPciBusId_v2(pci, &gpu->handle);
    if (rc != NVML_SUCCESS) {
        snprintf(why, TELEMETRY_WHY_BYTES, "nvmlDeviceGetHandleByPciBusId_v2 says %d for %s", rc,
                 pci);
        return false;
    }
    watch_xids(n, gpu);
    return true;
}

void nvml_forget(nvml *n, nvml_gpu *gpu)
{
    if (gpu->events)
        n->nvmlEventSetFree(gpu->events);
    gpu->events = NULL;
}

/* ---------------------------------------------------------------- reading */

static void take_xids(nvml *n, nvml_gpu *gpu)
{
    int rc = NVML_SUCCESS;
    for (int i = 0; i < EVENTS_MOST && rc == NVML_SUCCESS; i++) {
        nvml_event event = {0};
        rc = n->nvmlEventSetWait_v2(gpu->events, &event, 0);
        if (rc != NVML_SUCCESS || event.type != NVML_EVENT_XID)
            continue;
        gpu->xids++;
        gpu->last_xid = event.data;
    }
    gpu->events_work = rc == NVML_SUCCESS || rc == NVML_ERROR_TIMEOUT;
}

/* None so far is only known while the library answers; one that came stays known. */
static void give_xids(const nvml_gpu *gpu, telemetry *to)
{
    if (gpu->events_work || gpu->xids)
        TELEMETRY_GIVE(to, xid_errors, gpu->xids);
    if (gpu->xids)
        TELEMETRY_GIVE(to, last_xid, gpu->last_xid);
}

void nvml_read(nvml *n, nvml_gpu *gpu, telemetry *to)
{
    nvml_memory memory;
    nvml_utilisation busy;
    unsigned number;
    unsigned long long errors;
    if (n->nvmlDeviceGetMemoryInfo &&
        n->nvmlDeviceGetMemoryInfo(gpu->handle, &memory) == NVML_SUCCESS) {
        TELEMETRY_GIVE(to, memory_used_bytes, memory.used);
        TELEMETRY_GIVE(to, memory_total_bytes, memory.total);
    }
    if (n->nvmlDeviceGetUtilizationRates &&
        n->nvmlDeviceGetUtilizationRates(gpu->handle, &busy) == NVML_SUCCESS)
        TELEMETRY_GIVE(to, utilisation_percent, busy.gpu);
    if (n->nvmlDeviceGetTemperature &&
        n->nvmlDeviceGetTemperature(gpu->handle, NVML_TEMPERATURE_GPU, &number) == NVML_SUCCESS)
        TELEMETRY_GIVE(to, temperature_celsius, number);
    if (n->nvmlDeviceGetPowerUsage &&
        n->nvmlDeviceGetPowerUsage(gpu->handle, &number) == NVML_SUCCESS)
        TELEMETRY_GIVE(to, power_milliwatts, number);
    if (n->nvmlDeviceGetTotalEccErrors &&
        n->nvmlDeviceGetTotalEccErrors(gpu->handle, NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
                                       NVML_VOLATILE_ECC, &errors) == NVML_SUCCESS)
        TELEMETRY_GIVE(to, ecc_errors, errors);
    if (gpu->events)
        take_xids(n, gpu);
    give_xids(gpu, to);
}
