/* What the stand-ins for the vendor's libraries share: one emulated machine with devices, streams
 * and device memory. cudart.* is it (streams, captures, memory); cublaslt.* and cudnn.* put their
 * work into its streams. Stand-ins include the vendor's headers and this one, never the product's:
 * what they know of the module is what the vendor would know. */
#ifndef TESTS_VENDOR_VENDOR_H
#define TESTS_VENDOR_VENDOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st;

/* What a stream runs: `argument` is the copy of the bytes that were given. Device memory may be
 * touched inside of it, and nowhere else. */
typedef void vendor_work(const void *argument);

/* Puts work into a stream (the capture of it, when there is one): it runs now, when somebody waits,
 * or in between, as the machine's order says. `what` names it in reports. 0, or a cudaError_t. */
int vendor_enqueue(struct CUstream_st *stream, const char *what, vendor_work *run,
                   const void *argument, size_t bytes);

/* Whether the stream is being captured: plans must not be built then, nor handles be made. */
bool vendor_capturing(struct CUstream_st *stream);

/* The device a thread has chosen. */
int vendor_device(void);

/* Whether `bytes` at p lie in one live allocation of device memory and p is a multiple of `align`;
 * otherwise a report that names `what`. */
bool vendor_is_memory(const void *p, size_t bytes, size_t align, const char *what);

/* A rule was broken: the first report is kept and fails the test that asks (vendor_reported). */
void vendor_report(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The first report since the last call, or NULL. */
const char *vendor_reported(void);

/* Counts a call of a vendor function that may fail, and says whether this one does: the n-th, when
 * OVERPAINT_VENDOR_FAIL is "n", with the error of `kind`. */
typedef enum { VENDOR_FAIL_NOT, VENDOR_FAIL_MEMORY, VENDOR_FAIL_STICKY } vendor_failure;
vendor_failure vendor_fails(const char *function);

#ifdef __cplusplus
}
#endif

#endif
