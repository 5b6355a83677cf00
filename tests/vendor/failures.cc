/* Reports, and calls that fail because a test wants it. */
#include "tests/vendor/machine.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

using namespace vendor;

namespace {
struct failing {
    std::mutex lock;
    long at, count;
    bool memory, sticky;
    const char *lose; /* a file: when it is there the device is lost */
    std::atomic<bool> lost;
};

struct reports {
    std::mutex lock;
    std::string first;
};
} // namespace

static void read_failing(failing *f, const char *text)
{
    char *end = NULL;
    f->at = text ? strtol(text, &end, 10) : 0;
    f->count = 0;
    f->memory = end && strcmp(end, ":memory") == 0;
    f->sticky = end && strcmp(end, ":sticky") == 0;
    if (text && (f->at < 1 || (*end && !f->memory && !f->sticky))) {
        fprintf(stderr, "'%s' shall fail, expected n, n:memory or n:sticky\n", text);
        abort();
    }
}

static failing &wanted()
{
    static failing *f = [] {
        failing *made = new failing();
        read_failing(made, getenv("OVERPAINT_VENDOR_FAIL"));
        made->lose = getenv("OVERPAINT_VENDOR_LOSE");
        return made;
    }();
    return *f;
}

static bool is_one_of(const char *function, std::initializer_list<const char *> words)
{
    for (const char *word : words)
        if (strstr(function, word))
            return true;
    return false;
}

int vendor::lost()
{
    const int broken = chosen().broken;
    return broken || !wanted().lost ? broken : (int)cudaErrorIllegalAddress;
}

vendor_failure vendor_fails(const char *function)
{
    failing &f = wanted();
    std::lock_guard<std::mutex> hold(f.lock);
    if (f.lose && unlink(f.lose) == 0)
        f.lost = true;
    if (lost())
        return VENDOR_FAIL_STICKY;
    if (is_one_of(function, {"Free", "Destroy", "Release", "Unmap"}))
        return VENDOR_FAIL_NOT;
    if (f.memory && !is_one_of(function, {"Malloc", "Alloc", "Create", "Reserve", "Instantiate"}))
        return VENDOR_FAIL_NOT;
    if (++f.count != f.at)
        return VENDOR_FAIL_NOT;
    f.lost = f.sticky;
    return f.sticky ? VENDOR_FAIL_STICKY : VENDOR_FAIL_MEMORY;
}

void vendor_fail_at(const char *text)
{
    failing &f = wanted();
    std::lock_guard<std::mutex> hold(f.lock);
    read_failing(&f, text);
}

long vendor_calls(void)
{
    failing &f = wanted();
    std::lock_guard<std::mutex> hold(f.lock);
    return f.count;
}

static reports &all_reports()
{
    static reports *r = new reports();
    return *r;
}

void vendor_report(const char *format, ...)
{
    char text[500];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    reports &r = all_reports();
    std::lock_guard<std::mutex> hold(r.lock);
    if (r.first.empty())
        r.first = text;
    const char *path = getenv("OVERPAINT_VENDOR_REPORTS");
    FILE *f = path ? fopen(path, "a") : NULL;
    if (f) {
        fprintf(f, "%s\n", text);
        fclose(f);
    }
}

const vendor_controls *overpaint_vendor(void)
{
    static const vendor_controls controls = {vendor_fail_at, vendor_calls, vendor_reported,
                                             vendor_taken, vendor_mutate};
    return &controls;
}

const char *vendor_reported(void)
{
    static thread_local std::string shown;
    reports &r = all_reports();
    std::lock_guard<std::mutex> hold(r.lock);
    shown.clear();
    shown.swap(r.first);
    return shown.empty() ? NULL : shown.c_str();
}
