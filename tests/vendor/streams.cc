/* Streams: queues of work, and who comes next.
 *
 * `eager`: what is put into a stream runs at once. `late`: when somebody waits, and then only what
 * he waits for, with what that waits for in turn. Seeded: any stream of the device that can go on,
 * also a little at every call. Program order within a stream, and waits for events, are all that a
 * program may rely on; what it gets beyond is different in the three. */
#include "tests/vendor/machine.h"

#include <cstring>

namespace vendor {
static thread_local device *running_here;

bool in_work()
{
    return running_here != NULL;
}

static bool blocked(const CUstream_st *s)
{
    return !s->queue.empty() && s->queue.front().wait && !s->queue.front().wait->done;
}

static void run_work(device &d, const work &w)
{
    if (w.replay) {
        for (const auto &node : w.replay->nodes)
            run_work(d, node->what);
        return;
    }
    if (d.broken)
        return;
    d.now_ns += 2000 + d.now_ns * 7919 % 1009; /* no two take the same */
    w.run(w.argument.data());
}

/* The first of a stream that is not blocked, on a device that runs. */
static void run_front(held &h, CUstream_st *s)
{
    device &d = *s->of;
    const item i = std::move(s->queue.front());
    s->queue.pop_front();
    if (i.what) {
        h.unlock();
        running_here = &d;
        cuemu::use_memory(&d.live);
        run_work(d, *i.what);
        cuemu::use_memory(NULL);
        running_here = NULL;
        h.lock();
    }
    if (i.record) {
        i.record->done = true;
        i.record->at_ns = d.now_ns;
    }
    s->done++;
}

static CUstream_st *any_ready(device &d)
{
    std::vector<CUstream_st *> ready;
    for (CUstream_st *s : d.streams)
        if (!s->queue.empty() && !blocked(s))
            ready.push_back(s);
    return ready.empty() ? NULL : ready[the().chance() % ready.size()];
}

/* Who must go on so that `wanted` does. */
static CUstream_st *next_for(device &d, CUstream_st *wanted)
{
    if (the().how == SEEDED)
        return any_ready(d);
    while (blocked(wanted))
        wanted = wanted->queue.front().wait->of;
    return wanted;
}

static void run_until(held &h, device &d, CUstream_st *wanted, const std::function<bool()> &reached)
{
    wait_until_stopped(h, d);
    if (reached())
        return;
    opening o(h, d);
    while (!reached())
        run_front(h, next_for(d, wanted));
}

int run_stream(held &h, CUstream_st *s)
{
    device &d = *s->of;
    const uint64_t goal = s->put;
    run_until(h, d, s, [=] { return s->done >= goal; });
    return d.broken;
}

int run_moment(held &h, const moment &m)
{
    device &d = *m.of->of;
    run_until(h, d, m.of, [&] { return m.done; });
    return d.broken;
}

int run_device(held &h, device &d)
{
    for (bool any = true; any;) {
        any = false;
        for (CUstream_st *s : d.streams)
            if (!s->queue.empty()) {
                run_stream(h, s);
                any = true;
                break; /* streams may have come and gone meanwhile */
            }
    }
    return d.broken;
}

/* One item, seldom enough with a seed that streams fill. */
void run_a_little(held &h, device &d, CUstream_st *wanted)
{
    if (the().how == SEEDED && the().chance() % 3)
        return;
    wait_until_stopped(h, d);
    opening o(h, d);
    CUstream_st *s = next_for(d, wanted);
    if (s && !s->queue.empty())
        run_front(h, s);
}

int put_item(held &h, CUstream_st *s, item &&i)
{
    s->queue.push_back(std::move(i));
    s->put++;
    if (the().how == EAGER)
        run_stream(h, s);
    else if (the().how == SEEDED)
        run_a_little(h, *s->of, s);
    return 0; /* whoever comes next hears what went wrong */
}

int put(held &h, CUstream_st *s, work &&w)
{
    if (s->in)
        return capture_put(s, std::move(w));
    item i;
    i.what = std::make_shared<const work>(std::move(w));
    return put_item(h, s, std::move(i));
}

CUstream_st *known_stream(CUstream_st *s, const char *caller)
{
    if (s == NULL || s == cudaStreamLegacy || s == cudaStreamPerThread)
        vendor_report("%s uses a default stream", caller);
    else if (!the().streams.count(s))
        vendor_report("%s: %p is no stream", caller, (void *)s);
    else
        return s;
    return NULL;
}
} // namespace vendor

using namespace vendor;

void vendor_spend(uint64_t ns)
{
    if (running_here)
        running_here->now_ns += ns;
    else
        vendor_report("time is spent outside of a stream's work");
}

int vendor_enqueue(struct CUstream_st *stream, const char *what, vendor_work *run,
                   const void *argument, size_t bytes)
{
    held h(the().lock);
    CUstream_st *s = known_stream(stream, what);
    if (!s)
        return cudaErrorInvalidResourceHandle;
    if (s->of != &chosen()) {
        vendor_report("%s: a stream of device %d, while %d is chosen", what, s->of->index,
                      chosen().index);
        return cudaErrorInvalidResourceHandle;
    }
    work w = {what, cudaGraphNodeTypeKernel, run, {}, NULL};
    w.argument.assign((const unsigned char *)argument, (const unsigned char *)argument + bytes);
    return put(h, s, std::move(w));
}

bool vendor_is_memory(const void *p, size_t bytes, size_t align, const char *what)
{
    device &d = running_here ? *running_here : chosen();
    held h(the().lock);
    if ((uintptr_t)p % align)
        vendor_report("%s: %p is no multiple of %zu", what, p, align);
    else if (!live(d, p, bytes))
        vendor_report("%s: %zu bytes at %p are no memory of device %d", what, bytes, p, d.index);
    else
        return true;
    return false;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    return call("cudaStreamCreateWithFlags", SAFE, [=](held &) {
        if (flags & ~(unsigned)cudaStreamNonBlocking)
            return cudaErrorInvalidValue;
        CUstream_st *s = new CUstream_st();
        s->of = &chosen();
        the().streams.insert(s);
        s->of->streams.insert(s);
        *out = s;
        return cudaSuccess;
    });
}

/* What is in it still runs; the stream goes when it is empty. */
cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    return call("cudaStreamDestroy", SAFE, [=](held &h) {
        CUstream_st *s = known_stream(stream, "cudaStreamDestroy");
        if (!s)
            return cudaErrorInvalidResourceHandle;
        wait_until_stopped(h, *s->of);
        abandon(s);
        the().streams.erase(s);
        s->destroyed = true;
        if (s->queue.empty()) {
            s->of->streams.erase(s);
            delete s;
        }
        return cudaSuccess;
    });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    return call("cudaStreamSynchronize", UNSAFE, [=](held &h) -> int {
        CUstream_st *s = known_stream(stream, "cudaStreamSynchronize");
        if (!s)
            return cudaErrorInvalidResourceHandle;
        if (s->in) {
            invalidate(s);
            return cudaErrorStreamCaptureUnsupported;
        }
        if (s->hung) {
            vendor_report("cudaStreamSynchronize waits for ever, for NCCL");
            return cudaErrorUnknown;
        }
        if (s->done < s->put && vendor_drops("cudaStreamSynchronize", 0))
            return cudaSuccess;
        return run_stream(h, s);
    });
}
