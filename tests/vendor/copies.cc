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
} // namespace vendor

using namespace vendor;

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    return call("cudaMemcpyAsync", SAFE, [=](held &h) -> int {
        CUstream_st *s = known_stream(stream, "cudaMemcpyAsync");
        if (!s)
            return cudaErrorInvalidResourceHandle;
        return bytes ? copy(h, s, {s->of, to, from, bytes}, kind) : 0;
    });
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
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
