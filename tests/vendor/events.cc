/* Events: moments in a stream, and in a capture, where they make streams fork and join. */
#include "tests/vendor/machine.h"

#include <algorithm>

namespace vendor {
static CUevent_st *known_event(CUevent_st *e, const char *caller)
{
    if (the().events.count(e))
        return e;
    vendor_report("%s: %p is no event", caller, (void *)e);
    return NULL;
}

/* A capturing stream waits, or one that begins to capture because it does. */
static int wait_captured(CUstream_st *s, const CUevent_st *e)
{
    if (e->in->ended)
        return cudaErrorCapturedEvent;
    if (s->in && s->in != e->in) {
        invalidate(s);
        return cudaErrorStreamCaptureMerge;
    }
    if (e->in->invalid)
        return cudaErrorStreamCaptureInvalidated;
    s->in = e->in;
    s->in->members.insert(s);
    for (CUgraphNode_st *node : e->frontier)
        if (std::find(s->frontier.begin(), s->frontier.end(), node) == s->frontier.end())
            s->frontier.push_back(node);
    return 0;
}

static int wait_event(held &h, CUstream_st *s, const CUevent_st *e)
{
    if (e->in)
        return wait_captured(s, e);
    if (s->in) {
        invalidate(s);
        return cudaErrorStreamCaptureIsolation;
    }
    if (!e->latest || e->latest->done)
        return 0;
    if (e->of != s->of) {
        vendor_report("a stream of device %d waits for an event of device %d: not emulated",
                      s->of->index, e->of->index);
        return cudaErrorNotSupported;
    }
    item i;
    i.wait = e->latest;
    return put_item(h, s, std::move(i));
}

static int record(held &h, CUevent_st *e, CUstream_st *s)
{
    if (e->of != s->of)
        return cudaErrorInvalidResourceHandle;
    if (s->in && s->in->invalid)
        return cudaErrorStreamCaptureInvalidated;
    e->in = s->in;
    e->latest = NULL;
    if (s->in) {
        e->frontier = s->frontier;
        return 0;
    }
    e->latest = std::make_shared<moment>(moment{s, false, 0});
    item i;
    i.record = e->latest;
    return put_item(h, s, std::move(i));
}

/* What asking for an event of a capture is answered with. */
static int captured(const CUevent_st *e)
{
    if (!e->in->ended)
        invalidate(e->in->origin);
    return cudaErrorCapturedEvent;
}

/* Now and then somebody asks often enough. */
static int query(held &h, const CUevent_st *e)
{
    const std::shared_ptr<moment> m = e->latest;
    if (m && m->of->hung)
        return cudaErrorNotReady;
    if (!m || m->done)
        return e->of->broken;
    run_a_little(h, *e->of, m->of);
    return cudaErrorNotReady;
}
} // namespace vendor

using namespace vendor;

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    return call("cudaEventCreateWithFlags", SAFE, [=](held &) {
        if (flags & ~(unsigned)(cudaEventBlockingSync | cudaEventDisableTiming))
            return cudaErrorInvalidValue;
        CUevent_st *e = new CUevent_st();
        e->of = &chosen();
        e->timed = !(flags & cudaEventDisableTiming);
        the().events.insert(e);
        *out = e;
        return cudaSuccess;
    });
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    return call("cudaEventDestroy", SAFE, [=](held &) {
        CUevent_st *e = known_event(event, "cudaEventDestroy");
        if (!e)
            return cudaErrorInvalidResourceHandle;
        the().events.erase(e);
        delete e;
        return cudaSuccess;
    });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    return call("cudaEventRecord", SAFE, [=](held &h) -> int {
        CUevent_st *e = known_event(event, "cudaEventRecord");
        CUstream_st *s = known_stream(stream, "cudaEventRecord");
        return e && s ? record(h, e, s) : (int)cudaErrorInvalidResourceHandle;
    });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    return call("cudaStreamWaitEvent", SAFE, [=](held &h) -> int {
        CUevent_st *e = known_event(event, "cudaStreamWaitEvent");
        CUstream_st *s = known_stream(stream, "cudaStreamWaitEvent");
        if (!e || !s)
            return cudaErrorInvalidResourceHandle;
        return flags == cudaEventWaitDefault ? wait_event(h, s, e) : (int)cudaErrorInvalidValue;
    });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    return call("cudaEventSynchronize", UNSAFE, [=](held &h) -> int {
        CUevent_st *e = known_event(event, "cudaEventSynchronize");
        if (!e)
            return cudaErrorInvalidResourceHandle;
        if (e->in)
            return captured(e);
        const std::shared_ptr<moment> m = e->latest;
        return m && !m->done && !vendor_drops("cudaEventSynchronize", 0) ? run_moment(h, *m)
                                                                         : (int)e->of->broken;
    });
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    return call("cudaEventQuery", UNSAFE, [=](held &h) -> int {
        CUevent_st *e = known_event(event, "cudaEventQuery");
        if (!e)
            return cudaErrorInvalidResourceHandle;
        return e->in ? captured(e) : query(h, e);
    });
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t first, cudaEvent_t last)
{
    return call("cudaEventElapsedTime", SAFE, [=](held &) -> int {
        const CUevent_st *a = known_event(first, "cudaEventElapsedTime");
        const CUevent_st *b = known_event(last, "cudaEventElapsedTime");
        if (!a || !b || !a->timed || !b->timed || a->of != b->of)
            return cudaErrorInvalidResourceHandle;
        if (a->in || b->in)
            return cudaErrorCapturedEvent;
        if (!a->latest || !b->latest)
            return cudaErrorInvalidResourceHandle;
        if (!a->latest->done || !b->latest->done)
            return cudaErrorNotReady;
        *ms = (float)((double)(int64_t)(b->latest->at_ns - a->latest->at_ns) * 1e-6);
        return cudaSuccess;
    });
}
