/* single: see single.h. */
#include "tests/vendor/single.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/vendor/vendor.h"

enum { TAKEN_MOST = 64, REPORT_BYTES = 256, ALIGNMENT = 256 };

static struct {
    char *at;
    size_t bytes;
} taken[TAKEN_MOST];
static bool capturing;
static int failing;
static char report[REPORT_BYTES], told[REPORT_BYTES];

void *single_take(size_t bytes)
{
    for (int i = 0; i < TAKEN_MOST; i++)
        if (!taken[i].at) {
            taken[i].at = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
            taken[i].bytes = bytes;
            assert(taken[i].at);
            return taken[i].at;
        }
    assert(!"memory for more");
    return NULL;
}

void single_give(void *p)
{
    for (int i = 0; i < TAKEN_MOST; i++)
        if (taken[i].at == p)
            taken[i].at = NULL;
    free(p);
}

void single_capture(bool on)
{
    capturing = on;
}

void single_fail(int n)
{
    failing = n;
}

int vendor_enqueue(struct CUstream_st *stream, const char *what, vendor_work *run,
                   const void *argument, size_t bytes)
{
    (void)stream, (void)what, (void)bytes;
    if (!capturing)
        run(argument);
    return 0;
}

bool vendor_capturing(struct CUstream_st *stream)
{
    (void)stream;
    return capturing;
}

int vendor_device(void)
{
    return 0;
}

bool vendor_is_memory(const void *p, size_t bytes, size_t align, const char *what)
{
    const char *at = p;
    for (int i = 0; i < TAKEN_MOST; i++)
        if (taken[i].at && at >= taken[i].at && at + bytes <= taken[i].at + taken[i].bytes &&
            (size_t)at % align == 0)
            return true;
    vendor_report("%s: %zu bytes at %p are not live memory, a multiple of %zu", what, bytes, p,
                  align);
    return false;
}

void vendor_report(const char *format, ...)
{
    va_list all;
    va_start(all, format);
    if (!report[0])
        vsnprintf(report, sizeof report, format, all);
    va_end(all);
}

const char *vendor_reported(void)
{
    snprintf(told, sizeof told, "%s", report);
    report[0] = 0;
    return told[0] ? told : NULL;
}

vendor_failure vendor_fails(const char *function)
{
    (void)function;
    return failing && --failing == 0 ? VENDOR_FAIL_MEMORY : VENDOR_FAIL_NOT;
}
