/* cudnn_real: the vendor's library behind the stand-in for it. */
#ifndef TESTS_VENDOR_CUDNN_REAL_H
#define TESTS_VENDOR_CUDNN_REAL_H

#include <cudnn.h>

#define CUDNN_REAL_CALLS(C)                                                                        \
    C(cudnnBackendCreateDescriptor)                                                                \
    C(cudnnBackendDestroyDescriptor)                                                               \
    C(cudnnBackendSetAttribute)                                                                    \
    C(cudnnBackendGetAttribute)                                                                    \
    C(cudnnBackendFinalize)                                                                        \
    C(cudnnGetErrorString)                                                                         \
    C(cudnnGetLastErrorString)                                                                     \
    C(cudnnGetVersion)

#define CUDNN_REAL_FIELD(name) __typeof__(&name) name;
typedef struct {
    CUDNN_REAL_CALLS(CUDNN_REAL_FIELD)
} cudnn_real;

/* Loaded by the first call; ends the program when it cannot be, because nothing works then. */
const cudnn_real *cudnn_real_calls(void);

#endif
