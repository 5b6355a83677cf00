#include "tests/vendor/cases.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/vendor/vendor.h"

enum { CASES_MOST = 64 };

static void set(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

static void child(const test_case *c)
{
    set("OVERPAINT_VENDOR_ORDER", c->order);
    set("OVERPAINT_VENDOR_DEVICES", c->devices);
    set("OVERPAINT_VENDOR_MEMORY", c->memory);
    set("OVERPAINT_VENDOR_FAIL", c->fail);
    if (c->signal)
        signal(c->signal, SIG_DFL); /* a sanitizer would report it */
    c->body();
    const char *report = vendor_reported();
    if (report)
        fprintf(stderr, "reported, and not expected: %s\n", report);
    exit(report != NULL);
}

static void run_case(void **state)
{
    const test_case *c = *state;
    int status;
    fflush(NULL);
    const pid_t pid = fork();
    assert_int_not_equal(pid, -1);
    if (pid == 0)
        child(c);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (c->signal)
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == c->signal);
    else
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int cases_run(const test_case *cases, size_t count)
{
    struct CMUnitTest tests[CASES_MOST];
    if (count > CASES_MOST)
        return 1;
    for (size_t i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){cases[i].name, run_case, NULL, NULL, (void *)&cases[i]};
    return _cmocka_run_group_tests("cases", tests, count, NULL, NULL);
}

void need_at(int right, const char *what, const char *file, int line)
{
    if (right)
        return;
    const char *report = vendor_reported();
    fprintf(stderr, "%s:%d: not so: %s (%s)\n", file, line, what, report ? report : "no report");
    _exit(1);
}

void need_status(int status, int expected, const char *what, const char *file, int line)
{
    if (status != expected)
        fprintf(stderr, "%d, expected %d\n", status, expected);
    need_at(status == expected, what, file, line);
}

void need_report(const char *words, const char *file, int line)
{
    const char *report = vendor_reported();
    if (!report || !strstr(report, words))
        fprintf(stderr, "reported \"%s\", expected ", report ? report : "");
    need_at(report && strstr(report, words), words, file, line);
}

cudaStream_t new_stream(void)
{
    cudaStream_t s;
    OK(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
    return s;
}

cudaEvent_t new_event(void)
{
    cudaEvent_t e;
    OK(cudaEventCreateWithFlags(&e, cudaEventDefault));
    return e;
}

float *device_floats(size_t n)
{
    void *p;
    OK(cudaMalloc(&p, n * sizeof(float)));
    return p;
}

float *pinned_floats(size_t n, float v)
{
    void *p;
    OK(cudaHostAlloc(&p, n * sizeof(float), cudaHostAllocDefault));
    for (size_t i = 0; i < n; i++)
        ((float *)p)[i] = v;
    return p;
}

void put_float(float *to, const float *pinned, cudaStream_t s)
{
    OK(cudaMemcpyAsync(to, pinned, sizeof *to, cudaMemcpyHostToDevice, s));
}

void get_float(float *pinned, const float *from, cudaStream_t s)
{
    OK(cudaMemcpyAsync(pinned, from, sizeof *from, cudaMemcpyDeviceToHost, s));
}

float read_float(const float *from, cudaStream_t s)
{
    float v;
    OK(cudaMemcpyAsync(&v, from, sizeof v, cudaMemcpyDeviceToHost, s));
    return v;
}

float write_float(float *to, float v, cudaStream_t s)
{
    OK(cudaMemcpyAsync(to, &v, sizeof v, cudaMemcpyHostToDevice, s));
    OK(cudaStreamSynchronize(s));
    return v;
}

static void *entry(const char *name)
{
    void *p;
    enum cudaDriverEntryPointQueryResult found;
    OK(cudaGetDriverEntryPointByVersion(name, &p, 12000, cudaEnableDefault, &found));
    NEED(p && found == cudaDriverEntryPointSuccess);
    return p;
}

driver_calls driver(void)
{
    driver_calls d;
    *(void **)&d.granularity = entry("cuMemGetAllocationGranularity");
    *(void **)&d.address_reserve = entry("cuMemAddressReserve");
    *(void **)&d.address_free = entry("cuMemAddressFree");
    *(void **)&d.create = entry("cuMemCreate");
    *(void **)&d.release = entry("cuMemRelease");
    *(void **)&d.map = entry("cuMemMap");
    *(void **)&d.unmap = entry("cuMemUnmap");
    *(void **)&d.set_access = entry("cuMemSetAccess");
    return d;
}
