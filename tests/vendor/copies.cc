/* Copies and fills. Pinned host memory is read and written when the stream comes to it; pageable
 * memory is read at the call, and has been written when the call returns. */
#include "tests/vendor/machine.h"

#include <cstring>

namespace vendor {
namespace {
enum whose { DEVICE, PINNED, PAGEABLE, WRONG };

/* `from` of a copy from pageable memory is NULL: the bytes come behind this. */
struct alignas(16) copy_request {
    device *d;
    void *to;
    const void *from;
    size_t bytes;
};

struct fill_request {
    device *d;
    void *to;
    int value;
    size_t bytes;
};
} // namespace

static whose place_of(const device &d, const void *p, size_t bytes)
{
    if (is_device(p))
        return live(d, p, bytes) ? DEVICE : WRONG;
    if (the().pinned.hold(p, bytes))
        return PINNED;
    return the().pinned.hold(p, 1) ? WRONG : PAGEABLE;
}

/* Memory may have been freed since the call. */
static bool still_there(device &d, const void *p, size_t bytes)
{
    held h(the().lock);
    const whose where = place_of(d, p, bytes);
    if (where == DEVICE || where == PINNED)
        return true;
    vendor_report("a copy runs, and %zu bytes at %p have been freed", bytes, p);
    d.broken = cudaErrorIllegalAddress;
    return false;
}

static void run_copy(const void *argument)
{
    const copy_request *r = (const copy_request *)argument;
    if (!still_there(*r->d, r->to, r->bytes) || (r->from && !still_there(*r->d, r->from, r->bytes)))
        return;
    vendor_spend(r->bytes / 32);
    memcpy(r->to, r->from ? r->from : r + 1, r->bytes);
}

/* The caller's memory, to which he waits for the copy. */
static void run_copy_out(const void *argument)
{
    const copy_request *r = (const copy_request *)argument;
    if (!still_there(*r->d, r->from, r->bytes))
        return;
    vendor_spend(r->bytes / 32);
    memcpy(r->to, r->from, r->bytes);
}

static void run_fill(const void *argument)
{
    const fill_request *r = (const fill_request *)argument;
    if (still_there(*r->d, r->to, r->bytes))
        memset(r->to, r->value, r->bytes);
}

template <class T> static std::vector<unsigned char> bytes_of(const T &request)
{
    const unsigned char *first = (const unsigned char *)&request;
    return std::vector<unsigned char>(first, first + sizeof request);
}

/* The kinds of both ends, as far as they are right. */
static int check(const device &d, const copy_request &r, cudaMemcpyKind kind, whose *to,
                 whose *from)
{
    *to = place_of(d, r.to, r.bytes);
    *from = place_of(d, r.from, r.bytes);
    const bool to_device = *to == DEVICE, from_device = *from == DEVICE;
    const char *wrong = NULL;
    if (*to == WRONG || *from == WRONG)
        wrong = "memory that is not there";
    else if (!to_device && !from_device)
        wrong = "no device memory";
    else if (kind != cudaMemcpyDefault &&
             (to_device != (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice) ||
              from_device != (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice)))
        wrong = "another kind than it says";
    else if ((uintptr_t)r.to < (uintptr_t)r.from + r.bytes &&
             (uintptr_t)r.from < (uintptr_t)r.to + r.bytes)
        wrong = "memory that overlaps";
    if (wrong)
        vendor_report("copy of %zu bytes from %p to %p, which is %s", r.bytes, r.from, r.to, wrong);
    return wrong ? cudaErrorInvalidValue : 0;
}

static int copy(held &h, CUstream_st *s, copy_request r, cudaMemcpyKind kind)
{
    whose to, from;
    const int wrong = check(*s->of, r, kind, &to, &from);
    if (wrong)
        return wrong;
    if (s->in && (to == PAGEABLE || from == PAGEABLE)) {
        invalidate(s);
        return cudaErrorStreamCaptureUnsupported;
    }
    work w = {"copy", cudaGraphNodeTypeMemcpy, to == PAGEABLE ? run_copy_out : run_copy, {}, NULL};
    if (from == PAGEABLE) {
        const unsigned char *read = (const unsigned char *)r.from;
        r.from = NULL;
        w.argument = bytes_of(r);
        w.argument.insert(w.argument.end(), read, read + r.bytes);
    } else
        w.argument = bytes_of(r);
    const int status = put(h, s, std::move(w));
    return status || to != PAGEABLE ? status : run_stream(h, s);
}

/* Both ends of a copy between devices, and the devices. */
struct peer_request {
    device *to_device, *from_device;
    void *to;
    const void *from;
    size_t bytes;
};

/* Only the order of the stream is promised: what is copied is read as early as may be, at the call,
 * and written as late as may be, when the stream comes to it. (The source's memory then need not be
 * opened while the other device runs.) */
static int copy_peer(held &h, CUstream_st *s, const peer_request &r)
{
    if (s->of != r.to_device || !live(*r.to_device, r.to, r.bytes) ||
        !live(*r.from_device, r.from, r.bytes)) {
        vendor_report("copy of %zu bytes from %p of device %d to %p of device %d, which is %s",
                      r.bytes, r.from, r.from_device->index, r.to, r.to_device->index,
                      s->of == r.to_device ? "memory that is not there" : "not the stream's");
        return cudaErrorInvalidValue;
    }
    if (s->in) {
        vendor_report("a copy between devices in a capture: not emulated");
        invalidate(s);
        return cudaErrorStreamCaptureUnsupported;
    }
    work w = {"copy", cudaGraphNodeTypeMemcpy, run_copy,
              bytes_of(copy_request{r.to_device, r.to, NULL, r.bytes}), NULL};
    {
        opening o(h, *r.from_device);
        const unsigned char *read = (const unsigned char *)r.from;
        w.argument.insert(w.argument.end(), read, read + r.bytes);
    }
    return put(h, s, std::move(w));
}
} // namespace vendor

using namespace vendor;

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    vendor_told("cudaMemcpyAsync", 0, VENDOR_BYTES, &bytes, 1);
    return call("cudaMemcpyAsync", SAFE, [=](held &h) -> int {
        CUstream_st *s = known_stream(stream, "cudaMemcpyAsync");
        if (!s)
            return cudaErrorInvalidResourceHandle;
        return bytes ? copy(h, s, {s->of, to, from, bytes}, kind) : 0;
    });
}

cudaError_t cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device,
                                size_t bytes, cudaStream_t stream)
{
    return call("cudaMemcpyPeerAsync", SAFE, [=](held &h) -> int {
        auto &all = the().devices;
        CUstream_st *s = known_stream(stream, "cudaMemcpyPeerAsync");
        const int most = (int)all.size();
        if (!s)
            return cudaErrorInvalidResourceHandle;
        if (to_device < 0 || from_device < 0 || to_device >= most || from_device >= most)
            return cudaErrorInvalidDevice;
        device *d = all[(size_t)to_device].get(), *other = all[(size_t)from_device].get();
        return other->broken ? (int)other->broken
               : bytes       ? copy_peer(h, s, {d, other, to, from, bytes})
                             : 0;
    });
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    vendor_told("cudaMemsetAsync", 0, VENDOR_FILL, &value, 1);
    vendor_told("cudaMemsetAsync", 1, VENDOR_BYTES, &bytes, 1);
    return call("cudaMemsetAsync", SAFE, [=](held &h) -> int {
        CUstream_st *s = known_stream(stream, "cudaMemsetAsync");
        if (!s)
            return cudaErrorInvalidResourceHandle;
        if (bytes && !live(*s->of, to, bytes)) {
            vendor_report("cudaMemsetAsync: %zu bytes at %p are no device memory", bytes, to);
            return cudaErrorInvalidValue;
        }
        work w = {"fill", cudaGraphNodeTypeMemset, run_fill,
                  bytes_of(fill_request{s->of, to, value, bytes}), NULL};
        return bytes ? put(h, s, std::move(w)) : 0;
    });
}
