/* The emulated machine, as the parts of the cudart stand-in see it: devices with memory, streams,
 * events and captures.
 *
 * There are no threads of its own: whoever waits, or puts work into a stream when the order is
 * `eager`, runs it. One lock guards everything; it is not held while work runs. Then the device is
 * `running`: its memory is open, and neither changes nor is entered by another thread. */
#ifndef TESTS_VENDOR_MACHINE_H
#define TESTS_VENDOR_MACHINE_H

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include <cuda.h>
#include <cuda_runtime_api.h>

#include "tests/cuemu/runtime.h"
#include "tests/vendor/vendor.h"

namespace vendor {
struct device;
struct program;
typedef std::unique_lock<std::mutex> held; /* the machine's lock */

/* What a stream does, or a node of a graph. */
struct work {
    const char *what;
    cudaGraphNodeType type;
    vendor_work *run;
    std::vector<unsigned char> argument;
    std::shared_ptr<const program> replay; /* instead of `run`: a graph */
};

/* A record of an event on its way; `at` is set when it is done. */
struct moment {
    CUstream_st *of;
    bool done;
    uint64_t at_ns;
};

/* One thing in a stream: work, a record, or a wait for one. */
struct item {
    std::shared_ptr<const work> what;
    std::shared_ptr<moment> record, wait;
};

struct capture {
    CUstream_st *origin;
    cudaStreamCaptureMode mode;
    std::thread::id thread;
    bool invalid, ended;
    std::shared_ptr<program> nodes;
    std::set<CUstream_st *> members;
};

/* A handle of cuMemCreate; it lives as long as it is mapped or not released. */
struct physical {
    size_t bytes;
    bool released, mapped;
};

struct mapping {
    size_t bytes;
    CUmemGenericAllocationHandle of;
    bool open; /* cuMemSetAccess has been called */
};

struct device {
    int index;
    unsigned char *base;
    size_t capacity, used, opened;     /* opened: beginning of the range where memory may be */
    std::map<uintptr_t, size_t> spans; /* addresses given out, gaps behind them included */
    uintptr_t next;                    /* where to look for addresses first */
    std::map<uintptr_t, size_t> reservations; /* cuMemAddressReserve */
    std::map<CUmemGenericAllocationHandle, physical> physicals;
    std::map<uintptr_t, mapping> mappings;
    cuemu::regions live;
    std::set<CUstream_st *> streams; /* also those destroyed with work left */
    bool running;
    std::atomic<int> broken; /* cudaError_t that every call returns from now on */
    uint64_t now_ns;
};

enum order { EAGER, LATE, SEEDED };

struct machine {
    std::mutex lock;
    std::condition_variable stopped; /* a device is no longer running */
    std::vector<std::unique_ptr<device>> devices;
    order how;
    std::mt19937_64 chance;
    std::set<CUstream_st *> streams;
    std::set<CUevent_st *> events;
    std::set<CUgraph_st *> graphs;
    std::set<CUgraphExec_st *> executables;
    std::set<std::shared_ptr<capture>> captures;
    cuemu::regions pinned;
};
machine &the();
device &chosen(); /* of this thread */

/* A call of the API: counted, refused when the device is lost or a capture forbids it, then `body`
 * under the lock. The number of the error. */
enum traits { SAFE, UNSAFE }; /* in a capture */
int enter(const char *name, traits t, const std::function<int(held &)> &body);
/* The same, and what cudaGetLastError returns is set. */
cudaError_t call(const char *name, traits t, const std::function<int(held &)> &body);
cudaError_t remember(int error);
int lost(); /* 0, or what every call of this thread returns: its device is lost */

/* A device runs as long as this lives; its memory is open meanwhile. */
class opening {
    held &h;
    device &d;

  public:
    opening(held &h_, device &d_);
    ~opening();
};
void wait_until_stopped(held &h, device &d);
bool in_work(); /* this thread is inside of a stream's work */

/* streams.cc; 0 or the error that broke the device. */
CUstream_st *known_stream(CUstream_st *s, const char *caller); /* NULL: reported */
int put(held &h, CUstream_st *s, work &&w);
int put_item(held &h, CUstream_st *s, item &&i);
int run_stream(held &h, CUstream_st *s); /* all that is in it now */
int run_moment(held &h, const moment &m);
int run_device(held &h, device &d);
void run_a_little(held &h, device &d, CUstream_st *wanted);

/* launches.cc */
int take_launch(const cuemu::launched &launch);

/* captures.cc */
int capture_put(CUstream_st *s, work &&w);
void invalidate(CUstream_st *s);
void abandon(CUstream_st *s); /* it goes, in the middle of a capture or not */
bool forbidden();             /* under the lock; vendor_forbidden */

/* addresses.cc: a range for each device, and the bytes there. */
unsigned char *reserve_range();
uintptr_t place(device &d, size_t bytes, size_t align); /* 0: no address is left */
void give_up(device &d, uintptr_t at);                  /* what was placed */
/* What is there reads as NaN, the first time and after each time it was given up. */
void take_back(uintptr_t at, size_t bytes); /* whole pages */
void poison(held &h, device &d, uintptr_t at, size_t bytes);
void open_memory(device &d, bool open);
bool is_device(const void *p); /* an address of any device, live or not */
bool live(const device &d, const void *p, size_t bytes);
} // namespace vendor

struct CUgraphNode_st {
    vendor::work what;
    std::vector<CUgraphNode_st *> after;
};

namespace vendor {
struct program {
    std::vector<std::unique_ptr<CUgraphNode_st>> nodes; /* in the order of their capture */
};
} // namespace vendor

struct CUstream_st {
    vendor::device *of;
    std::deque<vendor::item> queue;
    uint64_t put, done; /* items */
    bool destroyed;
    bool hung; /* in a call of NCCL that does not end */
    std::shared_ptr<vendor::capture> in;
    std::vector<CUgraphNode_st *> frontier; /* what the next node comes after */
};

struct CUevent_st {
    vendor::device *of;
    bool timed;
    std::shared_ptr<vendor::moment> latest;
    std::shared_ptr<vendor::capture> in; /* last recorded in a capture */
    std::vector<CUgraphNode_st *> frontier;
};

struct CUgraph_st {
    std::shared_ptr<const vendor::program> nodes;
};

struct CUgraphExec_st {
    std::shared_ptr<const vendor::program> nodes;
};

#endif
