/* What kind of device it is: like an H200, as far as a program asks. */
#include "tests/vendor/machine.h"

#include <cstdio>
#include <cstring>

namespace vendor {
enum {
    MAJOR = 9,
    MINOR = 0,
    PROCESSORS = 132,
    WARP = 32,
    BLOCK_THREADS = 1024,
    BLOCK_SHARED = 48 << 10,
    BLOCK_SHARED_MOST = 227 << 10,
    BLOCK_SHARED_RESERVED = 1 << 10,
    SHARED = 228 << 10,
    REGISTERS = 64 << 10,
    THREADS = 2048,
    L2_BYTES = 60 << 20,
    BUS_BITS = 6144,
};

static const struct {
    cudaDeviceAttr attribute;
    int value;
} attributes[] = {
    {cudaDevAttrComputeCapabilityMajor, MAJOR},
    {cudaDevAttrComputeCapabilityMinor, MINOR},
    {cudaDevAttrMultiProcessorCount, PROCESSORS},
    {cudaDevAttrWarpSize, WARP},
    {cudaDevAttrMaxThreadsPerBlock, BLOCK_THREADS},
    {cudaDevAttrMaxSharedMemoryPerBlock, BLOCK_SHARED},
    {cudaDevAttrMaxSharedMemoryPerBlockOptin, BLOCK_SHARED_MOST},
    {cudaDevAttrReservedSharedMemoryPerBlock, BLOCK_SHARED_RESERVED},
    {cudaDevAttrMaxSharedMemoryPerMultiprocessor, SHARED},
    {cudaDevAttrMaxRegistersPerBlock, REGISTERS},
    {cudaDevAttrMaxRegistersPerMultiprocessor, REGISTERS},
    {cudaDevAttrMaxThreadsPerMultiProcessor, THREADS},
    {cudaDevAttrL2CacheSize, L2_BYTES},
    {cudaDevAttrGlobalMemoryBusWidth, BUS_BITS},
    {cudaDevAttrUnifiedAddressing, 1},
    {cudaDevAttrConcurrentKernels, 1},
    {cudaDevAttrMemoryPoolsSupported, 1},
    {cudaDevAttrEccEnabled, 1},
    {cudaDevAttrComputeMode, cudaComputeModeDefault},
};

static const struct {
    int error;
    const char *text;
} texts[] = {
    {cudaSuccess, "no error"},
    {cudaErrorInvalidValue, "invalid argument"},
    {cudaErrorMemoryAllocation, "out of memory"},
    {cudaErrorInvalidConfiguration, "invalid configuration argument"},
    {cudaErrorInvalidDevice, "invalid device ordinal"},
    {CUDA_ERROR_ALREADY_MAPPED, "resource already mapped"},
    {cudaErrorInvalidResourceHandle, "invalid resource handle"},
    {cudaErrorIllegalState, "the operation cannot be performed in the present state"},
    {cudaErrorNotReady, "device not ready"},
    {cudaErrorIllegalAddress, "an illegal memory access was encountered"},
    {cudaErrorLaunchFailure, "unspecified launch failure"},
    {cudaErrorNotPermitted, "operation not permitted"},
    {cudaErrorNotSupported, "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureMerge, "operation would merge two capture sequences"},
    {cudaErrorStreamCaptureUnmatched, "capture was not ended in the same stream as it began"},
    {cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"},
    {cudaErrorStreamCaptureIsolation, "dependency on uncaptured work in another stream"},
    {cudaErrorStreamCaptureImplicit, "operation would depend on the legacy stream"},
    {cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a capture"},
    {cudaErrorStreamCaptureWrongThread, "attempt to end a capture from another thread"},
};

static void describe(cudaDeviceProp *p, const device &d)
{
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "Emulated H200");
    p->uuid.bytes[0] = 'e';
    p->uuid.bytes[15] = (char)d.index;
    p->totalGlobalMem = d.capacity;
    p->sharedMemPerBlock = BLOCK_SHARED;
    p->sharedMemPerBlockOptin = BLOCK_SHARED_MOST;
    p->reservedSharedMemPerBlock = BLOCK_SHARED_RESERVED;
    p->sharedMemPerMultiprocessor = SHARED;
    p->regsPerBlock = p->regsPerMultiprocessor = REGISTERS;
    p->warpSize = WARP;
    p->maxThreadsPerBlock = p->maxThreadsDim[0] = p->maxThreadsDim[1] = BLOCK_THREADS;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = INT32_MAX;
    p->maxGridSize[1] = p->maxGridSize[2] = UINT16_MAX;
    p->maxThreadsPerMultiProcessor = THREADS;
    p->maxBlocksPerMultiProcessor = 32;
    p->major = MAJOR;
    p->minor = MINOR;
    p->multiProcessorCount = PROCESSORS;
    p->l2CacheSize = L2_BYTES;
    p->memoryBusWidth = BUS_BITS;
    p->pciBusID = d.index + 1;
    p->asyncEngineCount = 3;
    p->unifiedAddressing = p->canMapHostMemory = p->concurrentKernels = p->clusterLaunch = 1;
    p->ECCEnabled = p->memoryPoolsSupported = 1;
}

static bool is_device_number(int index)
{
    return index >= 0 && (size_t)index < the().devices.size();
}
} // namespace vendor

using namespace vendor;

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int index)
{
    return call("cudaGetDeviceProperties", SAFE, [=](held &) {
        if (!is_device_number(index))
            return cudaErrorInvalidDevice;
        describe(out, *the().devices[(size_t)index]);
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceGetAttribute(int *out, enum cudaDeviceAttr attribute, int index)
{
    return call("cudaDeviceGetAttribute", SAFE, [=](held &) {
        if (!is_device_number(index))
            return cudaErrorInvalidDevice;
        for (const auto &a : attributes)
            if (a.attribute == attribute) {
                *out = a.value;
                return cudaSuccess;
            }
        vendor_report("attribute %d is asked for: not emulated", (int)attribute);
        return cudaErrorInvalidValue;
    });
}

cudaError_t cudaDriverGetVersion(int *out)
{
    return call("cudaDriverGetVersion", SAFE, [=](held &) {
        *out = CUDART_VERSION;
        return cudaSuccess;
    });
}

cudaError_t cudaRuntimeGetVersion(int *out)
{
    return call("cudaRuntimeGetVersion", SAFE, [=](held &) {
        *out = CUDART_VERSION;
        return cudaSuccess;
    });
}

const char *cudaGetErrorString(cudaError_t error)
{
    for (const auto &t : texts)
        if (t.error == (int)error)
            return t.text;
    return "unrecognized error code";
}
