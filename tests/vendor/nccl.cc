/* A stand-in for NCCL: communicators of one process, group calls and broadcasts. What the module
 * loads at run time is found here, because the link wraps dlopen and dlsym.
 *
 * A group that NCCL would wait in for ever is reported: a rank that does not come, calls that do
 * not agree, a rank alone outside of a group. So is what NCCL does not bear: a stream that is
 * captured, memory that its own GPU alone may use (behind reserved addresses). The root is read in
 * the order of its stream, as early as may be; the others are written as late as may be.
 *
 * OVERPAINT_VENDOR_NCCL, looked up anew: `absent`, there is no library; `hangs`, nothing arrives
 * before the communicator is aborted; `breaks`, it tells of an error on the way. */
#include "tests/vendor/machine.h"

#include <dlfcn.h>
#include <nccl.h>

#include <cstdlib>
#include <cstring>

namespace vendor {
/* Of memory, for each communicator. */
static const size_t HELD = 4 << 20;

struct clique {
    std::vector<int> device;
    bool hung, broken;
};
} // namespace vendor

struct ncclComm {
    std::shared_ptr<vendor::clique> of;
    int rank;
    std::vector<CUstream_st *> hung;
};

namespace vendor {
struct posted {
    ncclComm *comm;
    CUstream_st *stream;
    void *to;
    size_t bytes;
    int root;
};

/* Of this thread: groups inside of each other, what was posted, and the first call refused. */
static thread_local int depth;
static thread_local std::vector<posted> group;
static thread_local ncclResult_t refused_in_group;

static bool setting_is(const char *word)
{
    const char *text = getenv("OVERPAINT_VENDOR_NCCL");
    return text && strcmp(text, word) == 0;
}

static std::set<ncclComm *> &all()
{
    static std::set<ncclComm *> *comms = new std::set<ncclComm *>();
    return *comms;
}

static ncclResult_t fails(const char *name)
{
    const vendor_failure f = vendor_fails(name);
    return f == VENDOR_FAIL_NOT      ? ncclSuccess
           : f == VENDOR_FAIL_MEMORY ? ncclSystemError
                                     : ncclUnhandledCudaError;
}

static ncclResult_t misused(const char *what)
{
    vendor_report("NCCL: %s", what);
    return ncclInvalidUsage;
}

static device &device_of(const ncclComm *c)
{
    return *the().devices[(size_t)c->of->device[(size_t)c->rank]];
}

/* ---- communicators ---- */

static ncclResult_t connect(held &h, ncclComm_t *out, const std::vector<int> &devices)
{
    auto &machines = the().devices;
    if (std::set<int>(devices.begin(), devices.end()).size() != devices.size())
        return ncclInvalidUsage; /* one GPU twice */
    for (int i : devices)
        if (i < 0 || (size_t)i >= machines.size())
            return ncclInvalidArgument;
    for (int i : devices) {
        device &d = *machines[(size_t)i];
        wait_until_stopped(h, d);
        if (d.broken || HELD > d.capacity - d.used)
            return ncclUnhandledCudaError;
    }
    const auto of = std::make_shared<clique>(clique{devices, false, false});
    for (size_t i = 0; i < devices.size(); i++) {
        out[i] = new ncclComm{of, (int)i, {}};
        all().insert(out[i]);
        device_of(out[i]).used += HELD;
    }
    return ncclSuccess;
}

static ncclResult_t end(ncclComm *c, bool aborted)
{
    held h(the().lock);
    if (!all().count(c))
        return misused("a communicator that is none ends");
    if (c->of->hung && !aborted)
        return misused("a communicator is destroyed that waits for ever");
    for (CUstream_st *s : c->hung)
        s->hung = false;
    device_of(c).used -= HELD;
    all().erase(c);
    delete c;
    return ncclSuccess;
}

/* ---- broadcasts ---- */

static bool is_mapped(const device &d, const void *p)
{
    auto m = d.mappings.upper_bound((uintptr_t)p);
    return m != d.mappings.begin() && (--m, (uintptr_t)p < m->first + m->second.bytes);
}

/* What is wrong with a rank's call, or NULL. */
static const char *wrong(const posted &p)
{
    if (!all().count(p.comm))
        return "a communicator that is none";
    const device &d = device_of(p.comm);
    if (p.stream->of != &d)
        return "the stream is another GPU's";
    if (p.stream->in)
        return "the stream is being captured";
    if (!live(d, p.to, p.bytes))
        return "memory that is not there";
    return is_mapped(d, p.to) ? "memory that its GPU alone may use" : NULL;
}

/* The same call by every rank, once: what the group needs to end. */
static const char *incomplete()
{
    const posted &first = group[0];
    std::set<int> ranks;
    for (const posted &p : group) {
        if (p.comm->of != first.comm->of)
            return "a group of several communicators: not emulated";
        if (p.bytes != first.bytes || p.root != first.root)
            return "ranks do not agree";
        if (!ranks.insert(p.comm->rank).second)
            return "a rank comes twice: not emulated";
    }
    return ranks.size() < first.comm->of->device.size() ? "not all ranks come" : NULL;
}

struct alignas(16) send_request {
    const void *from;
    std::vector<unsigned char> *to;
};

static void run_send(const void *argument)
{
    const send_request *r = (const send_request *)argument;
    const unsigned char *from = (const unsigned char *)r->from;
    vendor_spend(r->to->size() / 32);
    memcpy(r->to->data(), from, r->to->size());
}

struct alignas(16) receive_request {
    void *to;
    size_t bytes; /* which come behind this */
};

static void run_receive(const void *argument)
{
    const receive_request *r = (const receive_request *)argument;
    if (!vendor_is_memory(r->to, r->bytes, 1, "NCCL"))
        return;
    vendor_spend(r->bytes / 32);
    memcpy(r->to, r + 1, r->bytes);
}

/* A request, and bytes behind it. */
template <class T>
static std::vector<unsigned char> argument_of(const T &request,
                                              const std::vector<unsigned char> &more)
{
    std::vector<unsigned char> all(sizeof request + more.size());
    memcpy(all.data(), &request, sizeof request);
    if (!more.empty())
        memcpy(all.data() + sizeof request, more.data(), more.size());
    return all;
}

static ncclResult_t send(held &h, const posted &root, std::vector<unsigned char> *sent)
{
    sent->assign(root.bytes, 0xff);
    int status = put(h, root.stream,
                     {"broadcast", cudaGraphNodeTypeKernel, run_send,
                      argument_of(send_request{root.to, sent}, {}), NULL});
    if (!status)
        status = run_stream(h, root.stream);
    return status ? ncclUnhandledCudaError : ncclSuccess;
}

static ncclResult_t receive(held &h, const posted &p, const std::vector<unsigned char> &sent)
{
    const int status = put(h, p.stream,
                           {"broadcast", cudaGraphNodeTypeKernel, run_receive,
                            argument_of(receive_request{p.to, p.bytes}, sent), NULL});
    return status ? ncclUnhandledCudaError : ncclSuccess;
}

static ncclResult_t hang()
{
    for (const posted &p : group) {
        p.comm->of->hung = p.stream->hung = true;
        p.comm->hung.push_back(p.stream);
    }
    return ncclSuccess;
}

static ncclResult_t run_group(held &h)
{
    const char *missing = incomplete();
    if (missing)
        return misused(missing);
    if (setting_is("hangs"))
        return hang();
    group[0].comm->of->broken = setting_is("breaks");
    std::vector<unsigned char> sent;
    ncclResult_t result = ncclSuccess;
    for (const posted &p : group)
        if (p.comm->rank == p.root)
            result = send(h, p, &sent);
    for (const posted &p : group)
        if (p.comm->rank != p.root && result == ncclSuccess)
            result = receive(h, p, sent);
    return result;
}
} // namespace vendor

using namespace vendor;

ncclResult_t ncclGetVersion(int *version)
{
    *version = 29907;
    return fails("ncclGetVersion");
}

const char *ncclGetErrorString(ncclResult_t result)
{
    return result == ncclSuccess              ? "no error"
           : result == ncclSystemError        ? "system error"
           : result == ncclUnhandledCudaError ? "unhandled cuda error"
           : result == ncclRemoteError        ? "remote error"
                                              : "invalid";
}

ncclResult_t ncclCommInitAll(ncclComm_t *out, int n, const int *devices)
{
    const ncclResult_t refused = fails("ncclCommInitAll");
    if (refused != ncclSuccess)
        return refused;
    if (vendor_forbidden())
        return misused("connecting in a capture");
    held h(the().lock);
    return connect(h, out, std::vector<int>(devices, devices + n));
}

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    return end(comm, false);
}

ncclResult_t ncclCommAbort(ncclComm_t comm)
{
    return end(comm, true);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *result)
{
    const ncclResult_t refused = fails("ncclCommGetAsyncError");
    held h(the().lock);
    if (!all().count(comm))
        return misused("asking a communicator that is none");
    *result = comm->of->broken ? ncclRemoteError : ncclSuccess;
    return refused;
}

ncclResult_t ncclGroupStart()
{
    const ncclResult_t refused = fails("ncclGroupStart");
    depth += refused == ncclSuccess;
    return refused;
}

static ncclResult_t post(const void *from, void *to, size_t count, ncclDataType_t type, int root,
                         ncclComm_t comm, cudaStream_t stream)
{
    const ncclResult_t refused = fails("ncclBroadcast");
    if (refused != ncclSuccess)
        return refused;
    if (type != ncclUint8 || (from != to && comm->rank == root))
        return misused("other than bytes in place: not emulated");
    if (depth == 0)
        return misused("a rank alone, outside of a group: its thread would wait for the others");
    held h(the().lock);
    CUstream_st *s = known_stream(stream, "ncclBroadcast");
    const posted p = {comm, s, to, count, root};
    const char *why = s ? wrong(p) : "no stream";
    if (why)
        return misused(why);
    group.push_back(p);
    return ncclSuccess;
}

ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream)
{
    const ncclResult_t result = post(from, to, count, type, root, comm, stream);
    if (depth > 0 && refused_in_group == ncclSuccess)
        refused_in_group = result;
    return result;
}

/* A group in which a call was refused does nothing. */
ncclResult_t ncclGroupEnd()
{
    if (depth == 0)
        return misused("a group ends that was not begun");
    if (--depth > 0)
        return ncclSuccess;
    ncclResult_t result = fails("ncclGroupEnd");
    if (result == ncclSuccess)
        result = refused_in_group;
    if (result == ncclSuccess && !group.empty()) {
        held h(the().lock);
        result = run_group(h);
    }
    group.clear();
    refused_in_group = ncclSuccess;
    return result;
}

/* ---- the library as the module finds it ---- */

static const struct {
    const char *name;
    void *function;
} functions[] = {{"ncclGetVersion", (void *)ncclGetVersion},
                 {"ncclGetErrorString", (void *)ncclGetErrorString},
                 {"ncclCommInitAll", (void *)ncclCommInitAll},
                 {"ncclCommDestroy", (void *)ncclCommDestroy},
                 {"ncclCommAbort", (void *)ncclCommAbort},
                 {"ncclCommGetAsyncError", (void *)ncclCommGetAsyncError},
                 {"ncclGroupStart", (void *)ncclGroupStart},
                 {"ncclGroupEnd", (void *)ncclGroupEnd},
                 {"ncclBroadcast", (void *)ncclBroadcast}};

extern "C" {
void *__real_dlopen(const char *name, int flags);
void *__real_dlsym(void *library, const char *name);
void *__wrap_dlopen(const char *name, int flags);
void *__wrap_dlsym(void *library, const char *name);

void *__wrap_dlopen(const char *name, int flags)
{
    if (!name || strcmp(name, "libnccl.so.2") != 0)
        return __real_dlopen(name, flags);
    return setting_is("absent") ? __real_dlopen("/nowhere/libnccl.so.2", flags) : (void *)functions;
}

void *__wrap_dlsym(void *library, const char *name)
{
    if (library != functions)
        return __real_dlsym(library, name);
    for (const auto &f : functions)
        if (strcmp(f.name, name) == 0)
            return f.function;
    return NULL;
}
}
