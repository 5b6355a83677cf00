/* Streams and events of the emulated machine: what a program may rely on holds in every order, and
 * what it may not rely on does not in some. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/vendor/cases.h"
#include "tests/vendor/planted.h"
#include "tests/vendor/vendor.h"

static void pinned_is_read_late(void)
{
    cudaStream_t s = new_stream();
    float *p = device_floats(1), *pinned = pinned_floats(1, 1);
    put_float(p, pinned, s);
    *pinned = 2;
    NEED(read_float(p, s) == 2);
}

static void pinned_is_read_at_once(void)
{
    cudaStream_t s = new_stream();
    float *p = device_floats(1), *pinned = pinned_floats(1, 1);
    put_float(p, pinned, s);
    *pinned = 2;
    NEED(read_float(p, s) == 1);
}

/* Whatever the order. */
static void pageable_is_read_at_the_call(void)
{
    cudaStream_t s = new_stream();
    float *p = device_floats(1), host = 1;
    OK(cudaMemcpyAsync(p, &host, 4, cudaMemcpyHostToDevice, s));
    host = 2;
    NEED(read_float(p, s) == 1);
}

static void pinned_is_stale_without_waiting(void)
{
    cudaStream_t s = new_stream();
    float *p = device_floats(1), *pinned = pinned_floats(1, -1);
    OK(cudaMemsetAsync(p, 0, 4, s));
    get_float(pinned, p, s);
    NEED(*pinned == -1);
    OK(cudaStreamSynchronize(s));
    NEED(*pinned == 0);
}

/* A launch keeps a copy of its argument; streams keep their order. */
static void work_is_in_order(void)
{
    cudaStream_t s = new_stream();
    float *p = device_floats(200), *q = device_floats(200);
    OK(cudaMemsetAsync(p, 0, 800, s));
    for (int i = 0; i < 10; i++) {
        OK(planted_add(s, q, p, 1, 200));
        OK(planted_add(s, p, q, 2, 200));
    }
    NEED(read_float(p + 199, s) == 30);
}

static void waiting_runs_no_more_than_it_must(void)
{
    cudaStream_t s[3] = {new_stream(), new_stream(), new_stream()};
    cudaEvent_t e = new_event();
    float *p = device_floats(1), *to[4];
    for (int i = 0; i < 4; i++)
        to[i] = pinned_floats(1, -1);
    OK(cudaMemsetAsync(p, 0, 4, s[0]));
    get_float(to[0], p, s[0]);
    OK(cudaEventRecord(e, s[0]));
    get_float(to[1], p, s[0]); /* behind the event */
    OK(cudaStreamWaitEvent(s[1], e, 0));
    get_float(to[2], p, s[1]);
    get_float(to[3], p, s[2]); /* nobody waits for it */
    OK(cudaStreamSynchronize(s[1]));
    NEED(*to[0] == 0 && *to[1] == -1 && *to[2] == 0 && *to[3] == -1);
    OK(cudaEventSynchronize(e));
    NEED(*to[1] == -1);
    OK(cudaStreamSynchronize(s[0]));
    NEED(*to[1] == 0 && *to[3] == -1);
}

/* A wait means the latest record at the time of the call. */
static void waits_are_for_what_was_recorded(void)
{
    cudaStream_t a = new_stream(), b = new_stream();
    cudaEvent_t e = new_event();
    float *p = device_floats(1), *first = pinned_floats(1, -1), *second = pinned_floats(1, -1);
    OK(cudaMemsetAsync(p, 0, 4, a));
    OK(cudaStreamWaitEvent(b, e, 0)); /* never recorded: nothing to wait for */
    OK(cudaEventRecord(e, a));
    OK(cudaStreamWaitEvent(b, e, 0));
    get_float(first, p, a);
    OK(cudaEventRecord(e, a));
    OK(cudaStreamSynchronize(b));
    NEED(*first == -1);
    get_float(second, p, a);
    OK(cudaEventSynchronize(e));
    NEED(*first == 0 && *second == -1);
}

/* Who asks often enough is told; who asks once is not. */
static void asking_ends(void)
{
    cudaStream_t s = new_stream();
    cudaEvent_t e = new_event();
    float *p = device_floats(100);
    int asked = 0, status;
    OK(cudaEventQuery(e));
    for (int i = 0; i < 3; i++)
        OK(cudaMemsetAsync(p, 0, 400, s));
    OK(cudaEventRecord(e, s));
    while ((status = cudaEventQuery(e)) == cudaErrorNotReady && asked < 1000)
        asked++;
    OK(status);
    NEED(asked >= 3);
    GIVES(cudaErrorNotReady, cudaGetLastError());
}

static void take_long(const void *argument)
{
    vendor_spend(*(const uint64_t *)argument);
}

static void time_passes(void)
{
    cudaStream_t s = new_stream();
    cudaEvent_t a = new_event(), b = new_event(), untimed;
    const uint64_t long_ns = 7000000;
    float ms[2];
    OK(cudaEventRecord(a, s));
    OK(vendor_enqueue(s, "wait", take_long, &long_ns, sizeof long_ns));
    OK(cudaEventRecord(b, s));
    GIVES(cudaErrorNotReady, cudaEventElapsedTime(ms, a, b));
    OK(cudaStreamSynchronize(s));
    OK(cudaEventElapsedTime(ms, a, b));
    NEED(ms[0] >= 7 && ms[0] < 7.1f);
    for (int i = 0; i < 2; i++) {
        OK(cudaEventRecord(a, s));
        OK(cudaMemsetAsync(device_floats(1), 0, 4, s));
        OK(cudaEventRecord(b, s));
        OK(cudaEventSynchronize(b));
        OK(cudaEventElapsedTime(ms + i, a, b));
        NEED(ms[i] > 0);
    }
    NEED(ms[0] != ms[1]); /* no two measurements agree */
    OK(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming));
    OK(cudaEventRecord(untimed, s));
    OK(cudaEventSynchronize(untimed));
    GIVES(cudaErrorInvalidResourceHandle, cudaEventElapsedTime(ms, a, untimed));
    OK(cudaEventDestroy(untimed));
    GIVES(cudaErrorInvalidResourceHandle, cudaEventRecord(untimed, s));
    REPORTED("no event");
}

/* Two streams write the same float: how often the second one wins. */
static int second_wins(int with_event)
{
    cudaStream_t a = new_stream(), b = new_stream();
    cudaEvent_t e = new_event();
    float *p = device_floats(1);
    int wins = 0;
    for (int i = 0; i < 64; i++) {
        OK(cudaMemsetAsync(p, 1, 4, a));
        OK(cudaEventRecord(e, a));
        if (with_event)
            OK(cudaStreamWaitEvent(b, e, 0));
        OK(cudaMemsetAsync(p, 2, 4, b));
        OK(cudaStreamSynchronize(a));
        OK(cudaStreamSynchronize(b));
        wins += read_float(p, b) > 5e-38f; /* 0x02020202, or 0x01010101 */
    }
    return wins;
}

static void races_are_seen(void)
{
    const int wins = second_wins(0);
    NEED(wins > 5 && wins < 59);
    NEED(second_wins(1) == 64);
}

static void what_is_left_in_a_stream_runs(void)
{
    cudaStream_t s = new_stream();
    float *p = device_floats(1), *to = pinned_floats(1, -1);
    OK(cudaMemsetAsync(p, 0, 4, s));
    get_float(to, p, s);
    OK(cudaStreamDestroy(s));
    NEED(*to == -1);
    OK(cudaFree(p));
    NEED(*to == 0);
    GIVES(cudaErrorInvalidResourceHandle, cudaStreamSynchronize(s));
    REPORTED("no stream");
}

static void default_streams_are_reported(void)
{
    GIVES(cudaErrorInvalidResourceHandle, cudaMemsetAsync(device_floats(1), 0, 4, NULL));
    REPORTED("default stream");
    GIVES(cudaErrorInvalidResourceHandle, cudaStreamSynchronize(cudaStreamPerThread));
    REPORTED("default stream");
    GIVES(cudaErrorInvalidResourceHandle, planted_add(NULL, NULL, NULL, 0, 1));
    REPORTED("add_kernel uses a default stream");
}

static void launches_are_refused_at_the_call(void)
{
    cudaStream_t s = new_stream();
    float *p = device_floats(1);
    OK(cudaMemsetAsync(p, 0, 4, s));
    GIVES(cudaErrorInvalidConfiguration, planted_add_by(s, p, p, 1, 1, 1056));
    GIVES(cudaErrorInvalidConfiguration, planted_add(s, p, p, 1, 0));
    OK(planted_add(s, p, p, 1, 1));
    NEED(read_float(p, s) == 1);
}

static void call_back(const void *argument)
{
    (void)argument;
    cudaGetLastError();
    float *p;
    GIVES(cudaErrorNotPermitted, cudaMalloc((void **)&p, 4));
}

static void work_calls_nothing(void)
{
    cudaStream_t s = new_stream();
    OK(vendor_enqueue(s, "work", call_back, "", 1));
    OK(cudaStreamSynchronize(s));
    REPORTED("cudaMalloc is called from inside");
}

static void one_call_fails(void)
{
    void *p;
    int count;
    vendor_fail_at(NULL);
    OK(cudaGetDeviceCount(&count));
    OK(cudaMalloc(&p, 4));
    OK(cudaFree(p));
    NEED(vendor_calls() == 2); /* giving back does not count */
    vendor_fail_at("2");
    OK(cudaGetDeviceCount(&count));
    GIVES(cudaErrorMemoryAllocation, cudaMalloc(&p, 4));
    OK(cudaMalloc(&p, 4));
    vendor_fail_at("1:memory");
    OK(cudaGetDeviceCount(&count));
    NEED(vendor_calls() == 0);
    GIVES(cudaErrorMemoryAllocation, cudaMalloc(&p, 4));
    NEED(vendor_calls() == 1);
    vendor_fail_at("1");
    NEED(vendor_fails("cublasLtMatmul") == VENDOR_FAIL_MEMORY);
    NEED(vendor_fails("cublasLtMatmul") == VENDOR_FAIL_NOT);
    cudaStream_t s = new_stream();
    vendor_fail_at("1");
    GIVES(cudaErrorMemoryAllocation, planted_add(s, p, p, 1, 1));
}

static void the_device_is_lost(void)
{
    int count;
    OK(cudaGetDeviceCount(&count));
    GIVES(cudaErrorIllegalAddress, cudaGetDeviceCount(&count)); /* "2:sticky" */
    GIVES(cudaErrorIllegalAddress, cudaFree(NULL));
    GIVES(cudaErrorIllegalAddress, cudaGetLastError());
    GIVES(cudaErrorIllegalAddress, cudaGetLastError());
    vendor_fail_at(NULL);
    GIVES(cudaErrorIllegalAddress, cudaSetDevice(0));
}

static void properties(void)
{
    struct cudaDeviceProp p;
    int v;
    OK(cudaGetDeviceProperties(&p, 0));
    NEED(strcmp(p.name, "Emulated H200") == 0 && p.major == 9 && p.multiProcessorCount == 132);
    OK(cudaDeviceGetAttribute(&v, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
    NEED(v == 227 << 10 && p.sharedMemPerBlockOptin == (size_t)v);
    OK(cudaDriverGetVersion(&v));
    NEED(v >= 13000);
    GIVES(cudaErrorInvalidDevice, cudaGetDeviceProperties(&p, 1));
    GIVES(cudaErrorInvalidValue, cudaDeviceGetAttribute(&v, cudaDevAttrMaxTexture1DWidth, 0));
    REPORTED("not emulated");
    NEED(strcmp(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory") == 0);
}

static void *use_a_device(void *index)
{
    OK(cudaSetDevice(*(int *)index));
    NEED(vendor_device() == *(int *)index);
    cudaStream_t s = new_stream();
    float *pinned = pinned_floats(1, 0);
    for (int i = 0; i < 100; i++) {
        float *p = device_floats(64), *q = device_floats(64);
        OK(cudaMemsetAsync(p, 0, 256, s));
        OK(planted_add(s, q, p, (float)i, 64));
        get_float(pinned, q + 63, s);
        OK(cudaStreamSynchronize(s));
        NEED(*pinned == (float)i);
        OK(cudaFree(p));
        OK(cudaFree(q));
    }
    return NULL;
}

static void devices_have_threads(void)
{
    pthread_t thread[4];
    int index[4];
    for (int i = 0; i < 4; i++) {
        index[i] = i % 2;
        NEED(pthread_create(thread + i, NULL, use_a_device, index + i) == 0);
    }
    for (int i = 0; i < 4; i++)
        NEED(pthread_join(thread[i], NULL) == 0);
}

static void devices_are_apart(void)
{
    cudaStream_t s = new_stream();
    float *p = device_floats(1);
    OK(cudaSetDevice(1));
    GIVES(cudaErrorInvalidResourceHandle, planted_add(s, p, p, 1, 1));
    REPORTED("a stream of device 0, while 1 is chosen");
    NEED(!vendor_is_memory(p, 4, 4, "x"));
    REPORTED("device 1");
    GIVES(cudaErrorInvalidDevice, cudaSetDevice(2));
    cudaStream_t other = new_stream();
    OK(planted_add(other, p, p, 1, 1));
    GIVES(cudaErrorLaunchFailure, cudaStreamSynchronize(other));
    REPORTED("outside of every allocation");
    GIVES(cudaErrorLaunchFailure, cudaFree(NULL));
    OK(cudaSetDevice(0)); /* which is not lost */
    OK(cudaMemsetAsync(p, 0, 4, s));
    GIVES(cudaErrorLaunchFailure, cudaSetDevice(1));
    NEED(vendor_device() == 0);
}

/* For programs that nobody asks for their reports. */
static void reports_are_written(void)
{
    char path[] = "/tmp/test_cudart_XXXXXX", line[100];
    const int fd = mkstemp(path);
    NEED(fd >= 0 && close(fd) == 0);
    NEED(setenv("OVERPAINT_VENDOR_REPORTS", path, 1) == 0);
    vendor_report("one %d", 1);
    vendor_report("two");
    REPORTED("one 1"); /* the first is kept */
    NEED(vendor_reported() == NULL);
    FILE *f = fopen(path, "r");
    NEED(f && unlink(path) == 0);
    NEED(fgets(line, sizeof line, f) && strcmp(line, "one 1\n") == 0);
    NEED(fgets(line, sizeof line, f) && strcmp(line, "two\n") == 0);
    fclose(f);
}

int main(void)
{
    static const test_case cases[] = {
        CASE(pinned_is_read_late, .order = "late"),
        CASE(pinned_is_read_at_once, .order = "eager"),
        CASE(pageable_is_read_at_the_call, .order = "late"),
        CASE(pageable_is_read_at_the_call, .order = "seed:3"),
        CASE(pinned_is_stale_without_waiting, .order = "late"),
        CASE(work_is_in_order, .order = "eager"),
        CASE(work_is_in_order, .order = "late"),
        CASE(work_is_in_order, .order = "seed:4"),
        CASE(waiting_runs_no_more_than_it_must, .order = "late"),
        CASE(waits_are_for_what_was_recorded, .order = "late"),
        CASE(asking_ends, .order = "late"),
        CASE(time_passes, .order = "late"),
        CASE(races_are_seen, .order = "seed:1"),
        CASE(races_are_seen, .order = "seed:2"),
        CASE(what_is_left_in_a_stream_runs, .order = "late"),
        CASE(default_streams_are_reported),
        CASE(launches_are_refused_at_the_call, .order = "late"),
        CASE(work_calls_nothing),
        CASE(one_call_fails),
        CASE(the_device_is_lost, .fail = "2:sticky"),
        CASE(properties),
        CASE(devices_have_threads, .devices = "2"),
        CASE(devices_have_threads, .devices = "2", .order = "late"),
        CASE(devices_have_threads, .devices = "2", .order = "seed:5"),
        CASE(devices_are_apart, .devices = "2", .order = "late"),
        CASE(reports_are_written),
    };
    return CASES_RUN(cases);
}
