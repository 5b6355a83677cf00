/* From one GPU to another by NCCL, a library that is looked for when it is needed. broadcast_none.c
 * takes the place of broadcast.c in a build without NCCL's header. */
#ifndef KERNELS_CUDA_BROADCAST_H
#define KERNELS_CUDA_BROADCAST_H

#include <cuda_runtime_api.h>
#include <stdbool.h>

enum { BROADCAST_WHY = 176 };

typedef struct {
    int from_device, to_device;
    const void *from; /* written, and waited for */
    void *to;
    size_t bytes;
    cudaStream_t stream; /* of to_device, where `to` was made */
} broadcast;

/* True: the bytes are there, and `why` names the library. False: they may not be, nothing is held,
 * and `why` says what was wrong. The thread may have another GPU chosen afterwards. Thread-safe. */
bool broadcast_run(const broadcast *b, char why[BROADCAST_WHY]);

#endif
