/* What the parts of the emulation share: a device of one test thread, and a cluster in work. */
#ifndef TESTS_CUEMU_DEVICE_H
#define TESTS_CUEMU_DEVICE_H

#include <string>
#include <vector>

#include "tests/cuemu/cuda.h"
#include "tests/cuemu/runtime.h"

namespace cuemu {
enum state { RUNNING, IN_WARP, IN_BLOCK, IN_CLUSTER, DONE, STATES };

struct copy_request {
    void *to;
    const void *from;
    bool given;
};

struct block;

struct thread {
    void *stack;
    state now;
    place at;
    block *block_of;
    std::vector<copy_request> group;               /* not yet committed */
    std::vector<std::vector<copy_request>> groups; /* committed, oldest first */
};

/* The lanes of a warp that have come to a collective, and what they gave. */
struct gathering {
    collective *kind;
    unsigned come;
    void *given[32];
};

struct cluster;

struct block {
    cluster *cluster_of;
    std::vector<thread> threads;
    std::vector<gathering> warps;
    unsigned arrived, living;
    unsigned char *fixed, *dynamic; /* its shared memory: SHARED and DYN_SHARED */
};

struct cluster {
    std::vector<block> blocks;
    unsigned arrived;
    size_t dynamic_bytes, fixed_used;
    std::map<const void *, size_t> fixed_at; /* SHARED arrays: offsets, the same in every block */
    void (*run)(const void *);
    const void *argument;
};

struct stacks {
    std::vector<void *> all;
    ~stacks();
};

struct device {
    unsigned schedule;
    bool broken; /* the launch in work */
    uint64_t launches;
    std::string error, shown;
    regions own;          /* of cuemu_malloc */
    const regions *outer; /* a runtime's device memory while its work runs, instead of `own` */
    std::map<const void *, size_t> allowed;
    void *scheduler; /* its stack while a thread runs */
    stacks stack;
};

extern thread_local device device_here;

thread *running();
void report(const char *text); /* the first one is kept */
void run_cluster(cluster *c);
} // namespace cuemu

#endif
