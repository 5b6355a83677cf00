/* nvml: GPUs through NVIDIA's management library, loaded at run time. Part of telemetry.
 *
 * No header of NVIDIA is needed: the few calls and types are declared in nvml.c. */
#ifndef KERNELS_NVML_H
#define KERNELS_NVML_H

#include "kernels/telemetry.h"

typedef struct nvml nvml;

typedef struct {
    struct nvmlDevice_st *handle;
    struct nvmlEventSet_st *events; /* Xid errors since nvml_find; NULL: they are not told */
    bool events_work;               /* the library answered when it was asked last */
    uint64_t xids, last_xid;
} nvml_gpu;

/* Loads the library and starts it. NULL with the reason in `why` (TELEMETRY_WHY_BYTES). */
nvml *nvml_open(const char *library, char *why);
void nvml_close(nvml **n);

/* The GPU at a PCI bus id; false with the reason in `why`. */
bool nvml_find(nvml *n, nvml_gpu *gpu, const char *pci, char *why);
void nvml_forget(nvml *n, nvml_gpu *gpu);

void nvml_read(nvml *n, nvml_gpu *gpu, telemetry *to);

#endif
