/* What a runtime with streams and device memory of its own sees of the emulation: no word of the
 * CUDA language, so that it can include the vendor's headers. */
#ifndef TESTS_CUEMU_RUNTIME_H
#define TESTS_CUEMU_RUNTIME_H

#include <map>
#include <stddef.h>
#include <stdint.h>

struct CUstream_st;

namespace cuemu {
/* What is live, by address. Regions that touch are one, as mappings side by side are. */
class regions {
    std::map<uintptr_t, size_t> at;

  public:
    void add(const void *p, size_t bytes);
    bool remove(const void *p, size_t *bytes); /* whether a region begins there */
    bool hold(const void *p, size_t bytes) const;
};

/* What this thread's kernels may touch: NULL, what it has of cuemu_malloc. */
void use_memory(const regions *live);

/* A launch that a GPU would not refuse. The job may be copied, to a multiple of 16, and run later:
 * its argument is in it. */
struct launched {
    const char *kernel;
    CUstream_st *stream;
    const void *job;
    size_t bytes;
};
int run_job(const void *job); /* 0, or the number of the CUDA error */

/* Takes launches to their streams; without one they run at once. */
typedef int launch_taker(const launched &launch);
extern launch_taker *launch_hook;
} // namespace cuemu

#endif
