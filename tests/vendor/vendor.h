/* What the stand-ins for the vendor's libraries share: one emulated machine with devices, streams
 * and device memory. The cudart stand-in is it (machine.h); those of cuBLASLt and cuDNN put their
 * work into its streams. Stand-ins include the vendor's headers and this one, never the product's:
 * what they know of the module is what the vendor would know.
 *
 * Read once from the environment:
 *   OVERPAINT_VENDOR_DEVICES   how many devices (1)
 *   OVERPAINT_VENDOR_MEMORY    bytes of memory of each (4 GiB)
 *   OVERPAINT_VENDOR_ORDER     when streams run: `eager` (at the call), `late` (when somebody waits
 *                              for it, no more than that), `seed:N` (at random)
 *   OVERPAINT_VENDOR_FAIL      see vendor_fail_at
 *   OVERPAINT_VENDOR_LOSE      a file; when it is there the next call takes it away, and the
 *                              devices of its process are lost
 *   OVERPAINT_VENDOR_REPORTS   a file to which every report is added, a line each
 *   OVERPAINT_VENDOR_SEED      the order of what cuBLASLt's heuristic offers (0), for each handle
 */
#ifndef TESTS_VENDOR_VENDOR_H
#define TESTS_VENDOR_VENDOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st;

/* What a stream runs: `argument` is the copy of the bytes that were given, at a multiple of 16.
 * Device memory may be touched inside of it, and nowhere else; no function of CUDA is called. */
typedef void vendor_work(const void *argument);

/* Puts work into a stream (the capture of it, when there is one, as a kernel): it runs now, when
 * somebody waits, or in between, as the machine's order says. `what`, a literal, names it in
 * reports. 0, or a cudaError_t. */
int vendor_enqueue(struct CUstream_st *stream, const char *what, vendor_work *run,
                   const void *argument, size_t bytes);

/* Inside of work: it takes so long on the simulated clock, beside a few microseconds. */
void vendor_spend(uint64_t ns);

/* Whether the stream is being captured: plans must not be built then, nor handles be made. */
bool vendor_capturing(struct CUstream_st *stream);
/* For calls that must not be made during a capture, as allocations: whether there is one that
 * forbids them to this thread. It is invalidated then, and the call must fail. */
bool vendor_forbidden(void);

/* The device a thread has chosen. */
int vendor_device(void);

/* Whether `bytes` at p lie in live memory of the thread's device and p is a multiple of `align`;
 * otherwise a report that names `what`. */
bool vendor_is_memory(const void *p, size_t bytes, size_t align, const char *what);

/* A rule was broken that CUDA would not tell: the first report is kept and fails the test that asks
 * (vendor_reported). */
void vendor_report(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The first report since the last call, or NULL; it lives until this thread asks again. */
const char *vendor_reported(void);

/* Counts a call of a vendor function that may fail, and says whether this one does: MEMORY, it
 * finds no memory and has done nothing; STICKY, the device is lost, as it is for every call from
 * now on. Calls that give back (Free, Destroy, Release, Unmap) are not counted. */
typedef enum { VENDOR_FAIL_NOT, VENDOR_FAIL_MEMORY, VENDOR_FAIL_STICKY } vendor_failure;
vendor_failure vendor_fails(const char *function);
/* Counts anew. "n": the n-th counted call fails with MEMORY; "n:sticky": with STICKY; "n:memory":
 * only calls that take something (Alloc, Create, Reserve, Instantiate) are counted. NULL: none
 * fails. What was lost stays lost. */
void vendor_fail_at(const char *text);
/* Calls counted so far. */
long vendor_calls(void);

/* Asked, with its name, at each place where something could go wrong: whether it does. Then a value
 * that the libraries are told is another, or a call says that all went well and has done nothing.
 * Waits for what has happened already are no places: without them nothing would differ. `same`: why
 * nothing would differ at this place either, which is only told then; or NULL. A NULL chooser: all
 * goes right. A child that is forked while it is asked goes on from there. */
typedef bool vendor_chooser(const char *place, const char *same);
void vendor_mutate(vendor_chooser *choose);

/* For a stand-in: `count` values that it has been told, a copy of its own, each a place; and a call
 * (of this attribute, or 0), true: it is to be left out. */
typedef enum {
    VENDOR_INT32,
    VENDOR_INT64,
    VENDOR_FLOAT,
    VENDOR_FLAG,
    VENDOR_NAME, /* an int that stands for a type or a mode */
    VENDOR_PLACE,
    VENDOR_BYTES,
    VENDOR_FILL /* an int, of which memory is filled with the last byte */
} vendor_value;
void vendor_told(const char *what, int name, vendor_value kind, void *values, int64_t count);
/* The same where, by the library's own rules, some are not read, and why (NULL: read). */
void vendor_told_some(const char *what, int name, vendor_value kind, void *values, int64_t count,
                      const char *const *same);
/* One that is not read. */
void vendor_unread(const char *what, int name, const char *why);
bool vendor_drops(const char *what, int name);

/* Bytes of memory that are taken on any device. */
size_t vendor_taken(void);

/* The same for a program that has loaded a module with stand-ins in it, which shows nothing else of
 * them. */
typedef struct {
    void (*fail_at)(const char *text);
    long (*calls)(void);
    const char *(*reported)(void);
    size_t (*taken)(void);
    void (*mutate)(vendor_chooser *choose);
} vendor_controls;
const vendor_controls *overpaint_vendor(void);

#ifdef __cplusplus
}
#endif

#endif
