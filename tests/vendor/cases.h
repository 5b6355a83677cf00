/* Tests of the emulated machine: it reads its settings once, so every case is a process of its own.
 */
#ifndef TESTS_VENDOR_CASES_H
#define TESTS_VENDOR_CASES_H

#include <stddef.h>

#include <cuda.h>
#include <cuda_runtime_api.h>

typedef struct {
    const char *name;
    void (*body)(void);
    const char *order; /* the settings of vendor.h; NULL: as they are */
    const char *devices, *memory, *fail;
    int signal; /* the process ends by it */
} test_case;
/* CASE(body, .order = "late") */
#define CASE(f, ...)                                                                               \
    {                                                                                              \
        .name = #f, .body = f, __VA_ARGS__                                                         \
    }

/* Every case is a cmocka test. */
int cases_run(const test_case *cases, size_t count);
#define CASES_RUN(cases) cases_run(cases, sizeof(cases) / sizeof *(cases))

/* Ends a case, saying what was wrong. */
void need_at(int right, const char *what, const char *file, int line);
#define NEED(what) need_at(!!(what), #what, __FILE__, __LINE__)
/* A call that must return this. */
void need_status(int status, int expected, const char *what, const char *file, int line);
#define GIVES(status, call) need_status(call, status, #call, __FILE__, __LINE__)
#define OK(call)            GIVES(cudaSuccess, call)
/* The first report since the last one has these words. */
void need_report(const char *words, const char *file, int line);
#define REPORTED(words) need_report(words, __FILE__, __LINE__)

cudaStream_t new_stream(void);
cudaEvent_t new_event(void);
float *device_floats(size_t n); /* cudaMalloc */
float *pinned_floats(size_t n, float v);
/* One float from device memory to pinned memory and back; the caller waits. */
void put_float(float *to, const float *pinned, cudaStream_t s);
void get_float(float *pinned, const float *from, cudaStream_t s);
/* All of a stream, then one float. */
float read_float(const float *from, cudaStream_t s);
float write_float(float *to, float v, cudaStream_t s);

/* The driver's calls for virtual memory. */
typedef struct {
    CUresult (*granularity)(size_t *, const CUmemAllocationProp *,
                            CUmemAllocationGranularity_flags);
    CUresult (*address_reserve)(CUdeviceptr *, size_t, size_t, CUdeviceptr, unsigned long long);
    CUresult (*address_free)(CUdeviceptr, size_t);
    CUresult (*create)(CUmemGenericAllocationHandle *, size_t, const CUmemAllocationProp *,
                       unsigned long long);
    CUresult (*release)(CUmemGenericAllocationHandle);
    CUresult (*map)(CUdeviceptr, size_t, size_t, CUmemGenericAllocationHandle, unsigned long long);
    CUresult (*unmap)(CUdeviceptr, size_t);
    CUresult (*set_access)(CUdeviceptr, size_t, const CUmemAccessDesc *, size_t);
} driver_calls;
driver_calls driver(void);

#endif
