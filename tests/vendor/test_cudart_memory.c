/* Device memory of the emulated machine: closed to the host, new as NaN, counted, and known to
 * every copy and kernel. */
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/vendor/cases.h"
#include "tests/vendor/planted.h"
#include "tests/vendor/vendor.h"

enum { MIB = 1 << 20 };

static void host_reads(void)
{
    volatile float *p = device_floats(4);
    (void)p[0];
}

static void host_writes_after_work(void)
{
    cudaStream_t s = new_stream();
    volatile float *p = device_floats(4);
    NEED(write_float((float *)p, 1, s) == read_float((float *)p, s));
    p[0] = 2;
}

static void host_writes_before_waiting(void)
{
    cudaStream_t s = new_stream();
    volatile float *p = device_floats(4);
    put_float((float *)p, pinned_floats(1, 1), s);
    p[0] = 2;
}

static int is_poison(const void *device, size_t bytes, cudaStream_t s)
{
    static unsigned char there[4096];
    NEED(bytes <= sizeof there);
    OK(cudaMemcpyAsync(there, device, bytes, cudaMemcpyDeviceToHost, s));
    for (size_t i = 0; i < bytes; i++)
        if (there[i] != 0xff)
            return 0;
    return 1;
}

static void new_memory_is_nan(void)
{
    cudaStream_t s = new_stream();
    for (int i = 0; i < 3; i++) {
        float *p = device_floats(1000);
        NEED((uintptr_t)p % 256 == 0 && (uintptr_t)p % 512 != 0);
        NEED(is_poison(p, 4000, s));
        OK(cudaMemsetAsync(p, 0, 4000, s));
        OK(cudaFree(p));
    }
}

static void memory_ends(void)
{
    size_t left, total;
    void *p, *q;
    OK(cudaMalloc(&p, 10 * MIB));
    OK(cudaMemGetInfo(&left, &total));
    NEED(left == 6 * MIB && total == 16 * MIB);
    GIVES(cudaErrorMemoryAllocation, cudaMalloc(&q, 6 * MIB + 1));
    NEED(q == NULL);
    GIVES(cudaErrorMemoryAllocation, cudaGetLastError());
    OK(cudaGetLastError());
    GIVES(cudaErrorMemoryAllocation, cudaMalloc(&q, SIZE_MAX));
    OK(cudaMalloc(&q, 6 * MIB));
    OK(cudaFree(p));
    OK(cudaMalloc(&p, 10 * MIB));
    OK(cudaMalloc(&q, 0));
    NEED(q == NULL);
    OK(cudaFree(NULL));
}

/* More than the range has addresses for, if none were given out again. */
static void addresses_come_again(void)
{
    void *p;
    for (int i = 0; i < 300; i++) {
        CUdeviceptr at;
        OK((int)driver().address_reserve(&at, (size_t)1 << 30, 0, 0, 0));
        OK(cudaMalloc(&p, 1));
        OK((int)driver().address_free(at, (size_t)1 << 30));
        OK(cudaFree(p));
    }
}

static void what_is_freed_is_gone(void)
{
    cudaStream_t s = new_stream();
    float *p = device_floats(4), *kept = device_floats(4);
    OK(cudaFree(p));
    GIVES(cudaErrorInvalidValue, cudaMemsetAsync(p, 0, 4, s));
    REPORTED("no device memory");
    GIVES(cudaErrorInvalidValue, cudaMemcpyAsync(kept, p, 4, cudaMemcpyDeviceToDevice, s));
    REPORTED("not there");
    GIVES(cudaErrorInvalidValue, cudaFree(p));
    REPORTED("cudaFree");
    GIVES(cudaErrorInvalidValue, cudaFree(kept + 1));
    REPORTED("cudaFree");
    GIVES(cudaErrorInvalidValue, cudaMemsetAsync(kept + 3, 0, 5, s));
    REPORTED("5 bytes");
    OK(cudaMemsetAsync(kept + 3, 0, 4, s));
    NEED(device_floats(4) != p); /* what is kept too long is not valid by chance */
}

/* The machine's own memory is not used up by what comes and goes. */
static void freed_memory_is_given_back(void)
{
    unsigned char resident;
    float *p = device_floats(MIB);
    void *page = (void *)((uintptr_t)(p + MIB / 2) / 4096 * 4096);
    NEED(mincore(page, 4096, &resident) == 0 && (resident & 1));
    OK(cudaFree(p));
    NEED(mincore(page, 4096, &resident) == 0 && !(resident & 1));
}

static void freeing_waits(void)
{
    cudaStream_t s = new_stream();
    float *p = device_floats(1), *q = device_floats(1), *pinned = pinned_floats(1, 5);
    put_float(p, pinned, s);
    OK(cudaFreeHost(pinned));
    OK(cudaMemcpyAsync(q, p, 4, cudaMemcpyDeviceToDevice, s));
    OK(cudaFree(p));
    NEED(read_float(q, s) == 5);
    GIVES(cudaErrorInvalidValue, cudaFreeHost(pinned));
    REPORTED("no pinned memory");
}

static void copies_are_checked(void)
{
    cudaStream_t s = new_stream();
    float host[2] = {0}, *p = device_floats(4), *pinned = pinned_floats(2, 0);
    static const struct {
        enum cudaMemcpyKind kind;
        int to, from; /* 0 host, 1 device, 2 pinned */
        int right;
    } copies[] = {
        {cudaMemcpyHostToDevice, 1, 0, 1},   {cudaMemcpyDeviceToHost, 0, 1, 1},
        {cudaMemcpyHostToDevice, 1, 2, 1},   {cudaMemcpyDeviceToHost, 2, 1, 1},
        {cudaMemcpyDefault, 1, 0, 1},        {cudaMemcpyDefault, 2, 1, 1},
        {cudaMemcpyDeviceToHost, 1, 0, 0},   {cudaMemcpyHostToDevice, 0, 1, 0},
        {cudaMemcpyDeviceToDevice, 1, 0, 0}, {cudaMemcpyHostToHost, 0, 1, 0},
        {cudaMemcpyHostToHost, 0, 2, 0},
    };
    void *const at[] = {host, p, pinned};
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
        GIVES(copies[i].right ? cudaSuccess : cudaErrorInvalidValue,
              cudaMemcpyAsync(at[copies[i].to], at[copies[i].from], 8, copies[i].kind, s));
        NEED((vendor_reported() == NULL) == copies[i].right);
    }
    GIVES(cudaErrorInvalidValue, cudaMemcpyAsync(p, pinned, 12, cudaMemcpyHostToDevice, s));
    REPORTED("not there");
    GIVES(cudaErrorInvalidValue, cudaMemcpyAsync(p + 1, p, 8, cudaMemcpyDeviceToDevice, s));
    REPORTED("overlaps");
    OK(cudaMemcpyAsync(p + 2, p, 8, cudaMemcpyDeviceToDevice, s));
}

static void libraries_ask(void)
{
    char *p = (char *)device_floats(4);
    NEED(vendor_is_memory(p, 16, 16, "x"));
    NEED(vendor_is_memory(p + 4, 12, 4, "x"));
    NEED(vendor_reported() == NULL);
    NEED(!vendor_is_memory(p + 4, 8, 16, "matrix"));
    REPORTED("matrix");
    NEED(!vendor_is_memory(p, 17, 16, "x"));
    REPORTED("17 bytes");
    NEED(!vendor_is_memory(pinned_floats(1, 0), 4, 4, "x"));
    REPORTED("no memory of device 0");
}

static const CUmemAllocationProp PROP = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                         .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}};
static const CUmemAccessDesc ACCESS = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE},
                                       .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};

static void mapped_memory(void)
{
    const driver_calls cu = driver();
    cudaStream_t s = new_stream();
    CUmemGenericAllocationHandle handle[2], third;
    CUdeviceptr at;
    size_t grain, left, total;
    OK((int)cu.granularity(&grain, &PROP, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    NEED(grain == 2 * MIB);
    GIVES(CUDA_ERROR_INVALID_VALUE, (int)cu.address_reserve(&at, grain + 1, 0, 0, 0));
    OK((int)cu.address_reserve(&at, 1000 * grain, 0, 0, 0)); /* addresses are not memory */
    GIVES(CUDA_ERROR_INVALID_VALUE, (int)cu.create(handle, 1, &PROP, 0));
    GIVES(CUDA_ERROR_OUT_OF_MEMORY, (int)cu.create(handle, 9 * grain, &PROP, 0));
    for (int i = 0; i < 2; i++) {
        OK((int)cu.create(handle + i, grain, &PROP, 0));
        OK((int)cu.map(at + i * grain, grain, 0, handle[i], 0));
    }
    OK((int)cu.create(&third, grain, &PROP, 0));
    GIVES(CUDA_ERROR_ALREADY_MAPPED, (int)cu.map(at + grain, grain, 0, third, 0));
    OK((int)cu.release(third));
    GIVES(CUDA_ERROR_ALREADY_MAPPED, (int)cu.map(at + 5 * grain, grain, 0, handle[0], 0));
    GIVES(cudaErrorInvalidValue, cudaMemsetAsync((void *)at, 0, 4, s)); /* no access yet */
    REPORTED("no device memory");
    GIVES(CUDA_ERROR_INVALID_VALUE, (int)cu.set_access(at, 3 * grain, &ACCESS, 1));
    OK((int)cu.set_access(at, 2 * grain, &ACCESS, 1));
    char *edge = (char *)at + grain - 8;
    NEED(is_poison(edge, 16, s)); /* over the edge between the two */
    OK(cudaMemsetAsync(edge, 0, 16, s));
    NEED(!is_poison(edge, 16, s));
    OK((int)cu.release(handle[1]));
    GIVES(CUDA_ERROR_INVALID_VALUE, (int)cu.release(handle[1]));
    OK(cudaMemGetInfo(&left, &total));
    NEED(left == total - 2 * grain); /* it is mapped */
    GIVES(CUDA_ERROR_INVALID_VALUE, (int)cu.unmap(at + grain, grain / 2));
    OK((int)cu.unmap(at + grain, grain));
    OK(cudaMemGetInfo(&left, &total));
    NEED(left == total - grain);
    GIVES(cudaErrorInvalidValue, cudaMemsetAsync(edge, 0, 16, s));
    REPORTED("16 bytes");
    GIVES(CUDA_ERROR_INVALID_VALUE, (int)cu.address_free(at, 1000 * grain));
    OK((int)cu.unmap(at, grain));
    OK((int)cu.map(at + 7 * grain, grain, 0, handle[0], 0)); /* grows again, elsewhere */
    OK((int)cu.set_access(at + 7 * grain, grain, &ACCESS, 1));
    NEED(is_poison((char *)at + 8 * grain - 8, 8, s));
    OK((int)cu.unmap(at + 7 * grain, grain));
    OK((int)cu.release(handle[0]));
    OK((int)cu.address_free(at, 1000 * grain));
    OK(cudaMemGetInfo(&left, &total));
    NEED(left == total);
}

/* What was mapped when the work was given, and not when it runs. */
static void unmapped_too_early(void)
{
    const driver_calls cu = driver();
    cudaStream_t s = new_stream();
    CUmemGenericAllocationHandle handle;
    CUdeviceptr at;
    OK((int)cu.address_reserve(&at, 2 * MIB, 0, 0, 0));
    OK((int)cu.create(&handle, 2 * MIB, &PROP, 0));
    OK((int)cu.map(at, 2 * MIB, 0, handle, 0));
    OK((int)cu.set_access(at, 2 * MIB, &ACCESS, 1));
    OK(cudaMemsetAsync((void *)at, 0, 4, s));
    OK((int)cu.unmap(at, 2 * MIB));
    GIVES(cudaErrorIllegalAddress, cudaStreamSynchronize(s));
    REPORTED("have been freed");
}

static void entry_points(void)
{
    void *p = &p;
    enum cudaDriverEntryPointQueryResult found;
    OK(cudaGetDriverEntryPointByVersion("cuMemMap", &p, 10000, cudaEnableDefault, &found));
    NEED(!p && found == cudaDriverEntryPointVersionNotSufficent);
    OK(cudaGetDriverEntryPointByVersion("cuNothing", &p, 12000, cudaEnableDefault, &found));
    NEED(!p && found == cudaDriverEntryPointSymbolNotFound);
    REPORTED("cuNothing");
    CUresult (*text)(CUresult, const char **);
    const char *said;
    OK(cudaGetDriverEntryPointByVersion("cuGetErrorString", (void **)&text, 12000,
                                        cudaEnableDefault, NULL));
    OK((int)text(CUDA_ERROR_OUT_OF_MEMORY, &said));
    NEED(strcmp(said, "out of memory") == 0);
}

/* A kernel that leaves its memory breaks the device, for good. */
static void kernels_are_checked(void)
{
    cudaStream_t s = new_stream();
    float *out = device_floats(100), *in = device_floats(101), *pinned = pinned_floats(1, -1);
    OK(cudaMemsetAsync(in, 0, 404, s));
    OK(planted_add(s, out, in, 3, 100));
    NEED(read_float(out + 99, s) == 3);
    OK(planted_add(s, out, in, 3, 101));
    get_float(pinned, out, s);
    GIVES(cudaErrorLaunchFailure, cudaStreamSynchronize(s));
    NEED(*pinned == -1); /* nothing runs behind it */
    REPORTED("add_kernel: block (1,0) thread 36: store of 4 bytes");
    GIVES(cudaErrorLaunchFailure, cudaFree(out));
    GIVES(cudaErrorLaunchFailure, cudaGetLastError());
    GIVES(cudaErrorLaunchFailure, cudaGetLastError());
    GIVES(cudaErrorLaunchFailure, planted_add(s, out, in, 3, 100));
    NEED(vendor_fails("cudnnBackendExecute") == VENDOR_FAIL_STICKY);
}

static void pinned_is_not_device_memory(void)
{
    cudaStream_t s = new_stream();
    OK(planted_add(s, device_floats(1), pinned_floats(1, 0), 3, 1));
    GIVES(cudaErrorLaunchFailure, cudaStreamSynchronize(s));
    REPORTED("load of 4 bytes");
}

int main(void)
{
    static const test_case cases[] = {
        CASE(host_reads, .signal = SIGSEGV),
        CASE(host_writes_after_work, .signal = SIGSEGV),
        CASE(host_writes_before_waiting, .order = "late", .signal = SIGSEGV),
        CASE(new_memory_is_nan, .order = "late"),
        CASE(memory_ends, .memory = "16777216"),
        CASE(addresses_come_again),
        CASE(what_is_freed_is_gone),
        CASE(freed_memory_is_given_back),
        CASE(freeing_waits, .order = "late"),
        CASE(copies_are_checked),
        CASE(libraries_ask),
        CASE(mapped_memory, .memory = "16777216"),
        CASE(unmapped_too_early, .order = "late"),
        CASE(entry_points),
        CASE(kernels_are_checked, .order = "late"),
        CASE(pinned_is_not_device_memory, .order = "late"),
    };
    return CASES_RUN(cases);
}
