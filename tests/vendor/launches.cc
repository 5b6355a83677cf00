/* Kernels of tests/cuemu: launches go into their stream and run there. */
#include <cstring>

#include "tests/cuemu/cuemu.h"
#include "tests/vendor/machine.h"

namespace vendor {
namespace {
/* The emulation's job comes behind this. */
struct alignas(16) request {
    const char *kernel;
    device *d;
    unsigned schedule;
};
} // namespace

static void run(const void *argument)
{
    const request *r = (const request *)argument;
    cuemu_error(); /* whatever this thread was told before */
    cuemu_schedule(r->schedule);
    const int status = cuemu::run_job(r + 1);
    if (status == 0)
        return;
    vendor_report("%s: %s", r->kernel, cuemu_error());
    r->d->broken = status;
}

/* How the emulated threads run is part of the order. */
static unsigned some_schedule()
{
    held h(the().lock);
    return the().how == SEEDED ? (unsigned)(the().chance() % CUEMU_SCHEDULES) : 0;
}

int take_launch(const cuemu::launched &launch)
{
    const vendor_failure fails = vendor_fails("cudaLaunchKernelExC");
    if (fails != VENDOR_FAIL_NOT)
        return remember(fails == VENDOR_FAIL_MEMORY ? (int)cudaErrorMemoryAllocation : lost());
    if (vendor_drops(launch.kernel, 0))
        return cudaSuccess;
    const request r = {launch.kernel, &chosen(), some_schedule()};
    std::vector<unsigned char> bytes(sizeof r + launch.bytes);
    memcpy(bytes.data(), &r, sizeof r);
    memcpy(bytes.data() + sizeof r, launch.job, launch.bytes);
    return remember(vendor_enqueue(launch.stream, launch.kernel, run, bytes.data(), bytes.size()));
}
} // namespace vendor
