/* The machine itself, and what every call of the API has in common. */
#include "tests/vendor/machine.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace vendor {
static thread_local int device_chosen;
static thread_local cudaError_t last_error;

static size_t number(const char *name, size_t otherwise)
{
    const char *text = getenv(name);
    char *end = NULL;
    const size_t v = text ? strtoull(text, &end, 10) : otherwise;
    if (text && (end == text || *end || v == 0)) {
        fprintf(stderr, "%s is '%s', expected a number of at least 1\n", name, text);
        abort();
    }
    return v;
}

static void read_order(machine *m)
{
    const char *text = getenv("OVERPAINT_VENDOR_ORDER");
    if (!text || strcmp(text, "eager") == 0)
        m->how = EAGER;
    else if (strcmp(text, "late") == 0)
        m->how = LATE;
    else if (strncmp(text, "seed:", 5) == 0) {
        m->how = SEEDED;
        m->chance.seed(strtoull(text + 5, NULL, 10));
    } else {
        fprintf(stderr, "OVERPAINT_VENDOR_ORDER is '%s', expected eager, late or seed:N\n", text);
        abort();
    }
}

static machine *build()
{
    machine *m = new machine();
    const size_t count = number("OVERPAINT_VENDOR_DEVICES", 1);
    const size_t capacity = number("OVERPAINT_VENDOR_MEMORY", (size_t)4 << 30);
    for (size_t i = 0; i < count; i++) {
        std::unique_ptr<device> d(new device());
        d->index = (int)i;
        d->capacity = capacity;
        d->base = reserve_range();
        m->devices.push_back(std::move(d));
    }
    read_order(m);
    cuemu::launch_hook = take_launch;
    return m;
}

/* Never taken down: calls may come until the process ends. */
machine &the()
{
    static machine *m = build();
    return *m;
}

device &chosen()
{
    return *the().devices[(size_t)device_chosen];
}

opening::opening(held &h_, device &d_) : h(h_), d(d_)
{
    wait_until_stopped(h, d);
    d.running = true;
    open_memory(d, true);
}

opening::~opening()
{
    open_memory(d, false);
    d.running = false;
    for (auto s = d.streams.begin(); s != d.streams.end();)
        if ((*s)->destroyed && (*s)->queue.empty()) {
            delete *s;
            s = d.streams.erase(s);
        } else
            ++s;
    the().stopped.notify_all();
}

void wait_until_stopped(held &h, device &d)
{
    while (d.running)
        the().stopped.wait(h);
}

int enter(const char *name, traits t, const std::function<int(held &)> &body)
{
    machine &m = the();
    if (in_work()) {
        vendor_report("%s is called from inside of a stream's work", name);
        return cudaErrorNotPermitted;
    }
    const vendor_failure fails = vendor_fails(name);
    if (fails != VENDOR_FAIL_NOT)
        return fails == VENDOR_FAIL_MEMORY ? (int)cudaErrorMemoryAllocation : lost();
    held h(m.lock);
    if (t == UNSAFE && forbidden())
        return cudaErrorStreamCaptureUnsupported;
    return body(h);
}

cudaError_t remember(int error)
{
    if (error)
        last_error = (cudaError_t)error;
    return (cudaError_t)error;
}

/* Calls that nobody would miss at once; waits look first whether there is anything to wait for. */
static bool is_left_out(const char *name)
{
    for (const char *word : {"cudaEventRecord", "cudaStreamWaitEvent", "cudaMemcpyAsync",
                             "cudaMemsetAsync", "cudaGraphLaunch"})
        if (strcmp(name, word) == 0)
            return vendor_drops(name, 0);
    return false;
}

cudaError_t call(const char *name, traits t, const std::function<int(held &)> &body)
{
    return is_left_out(name) ? cudaSuccess : remember(enter(name, t, body));
}
} // namespace vendor

using namespace vendor;

int vendor_device(void)
{
    return device_chosen;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    return call("cudaGetDeviceCount", SAFE, [=](held &) {
        *count = (int)the().devices.size();
        return cudaSuccess;
    });
}

cudaError_t cudaSetDevice(int index)
{
    const bool there = index >= 0 && (size_t)index < the().devices.size();
    const int before = device_chosen;
    device_chosen = there ? index : before; /* who leaves a lost device hears nothing of it */
    const cudaError_t status = call("cudaSetDevice", SAFE, [=](held &) {
        return there ? cudaSuccess : cudaErrorInvalidDevice;
    });
    if (status)
        device_chosen = before;
    return status;
}

/* A lost device stays lost: only what it has not got in the way of is forgotten. */
cudaError_t cudaGetLastError(void)
{
    const cudaError_t error = last_error;
    last_error = cudaSuccess;
    return lost() ? (cudaError_t)lost() : error;
}
